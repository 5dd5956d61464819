//! How frames read. Every text made here is one line that starts and ends with something visible. Python frames end
//! with `)`, marks with `]`: a stack's leaf never ends with a number, which readers of collapsed stacks would take
//! for a count.

use crate::profile::model::{Frame, Location, Process, Profile, Thread};

use super::{
    Group, Options,
    file_name::{self, Origin},
    text::printable,
};

/// What an entry of a stack is, for those who draw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A container, process or thread.
    Group,
    /// A Python function.
    Python(Origin),
    /// A sign of what is missing.
    Mark,
}

/// The line that a frame shows under these options; 0: none.
pub(super) fn shown_line(profile: &Profile, location: &Location, options: &Options) -> u32 {
    if options.no_lines {
        0
    } else if options.function_only {
        profile.functions[location.function].first_line
    } else {
        location.line
    }
}

/// The file name that a frame shows under these options.
pub(super) fn shown_file(file: &str, options: &Options) -> String {
    visible(if options.full_filenames {
        file
    } else {
        file_name::shorten(file)
    })
}

/// `qualified.name (path/file.py:line)`, or a mark.
pub(super) fn text(profile: &Profile, frame: Frame, options: &Options) -> (String, Kind) {
    match frame {
        Frame::Mark(mark) => (mark.label(), Kind::Mark),
        Frame::Python(location) => {
            let location = &profile.locations[location];
            let function = &profile.functions[location.function];
            let text = python(
                &function.name,
                &shown_file(&function.file, options),
                shown_line(profile, location, options),
            );
            (text, Kind::Python(file_name::origin(&function.file)))
        }
    }
}

/// `qualified.name (file:line)`; the line is left out where it is 0.
pub(super) fn python(name: &str, shown_file: &str, line: u32) -> String {
    let name = visible(name);
    if line == 0 {
        format!("{name} ({shown_file})")
    } else {
        format!("{name} ({shown_file}:{line})")
    }
}

/// The text of a group that a process and its thread belong to.
pub(super) fn group(group: Group, process: &Process, thread: &Thread) -> String {
    match group {
        Group::Container => container(process),
        Group::Process => self::process(process),
        Group::Thread => self::thread(thread),
    }
}

/// The container's name or short id, or that the process is in none. That is a frame too: all of what ran outside of
/// containers stands beside each of them, to compare. It does not say `host`, since a runtime that we do not know
/// may have put it elsewhere.
pub(super) fn container(process: &Process) -> String {
    match &process.container {
        Some(name) => visible(name),
        None => "[no container]".into(),
    }
}

/// `comm (pid 123)`, `comm (pid 123 and 45 others)`.
pub(super) fn process(process: &Process) -> String {
    let others = match process.others {
        0 => String::new(),
        others => format!(" and {others} others"),
    };
    format!("{} (pid {}{others})", visible(&process.comm), process.pid)
}

/// `name (tid 124)`.
pub(super) fn thread(thread: &Thread) -> String {
    format!("{} (tid {})", visible(&thread.name), thread.tid)
}

/// A name made harmless; `?` where nothing would show.
pub(super) fn visible(name: &str) -> String {
    let name = printable(name);
    match name.trim() {
        "" => "?".into(),
        name => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        output::testing::{hostile_names, location},
        profile::{
            builder::Builder,
            model::{Function, Mark},
        },
    };

    use super::*;

    fn texts(name: &str, file: &str, line: u32) -> [String; 4] {
        let mut builder = Builder::new();
        let function = builder.function(Function {
            name: name.into(),
            file: file.into(),
            first_line: 7,
        });
        let frame = Frame::Python(builder.location(location(function, line)));
        let profile = builder.finish(crate::output::testing::recording());
        [
            Options::default(),
            Options {
                function_only: true,
                ..Options::default()
            },
            Options {
                no_lines: true,
                ..Options::default()
            },
            Options {
                full_filenames: true,
                ..Options::default()
            },
        ]
        .map(|options| text(&profile, frame, &options).0)
    }

    /// Makes sure that each option shows the line and file that it promises.
    #[test]
    fn options_choose_line_and_file() {
        assert_eq!(
            texts("Cart.total", "/srv/shop/orders/cart.py", 12),
            [
                "Cart.total (orders/cart.py:12)",
                "Cart.total (orders/cart.py:7)",
                "Cart.total (orders/cart.py)",
                "Cart.total (/srv/shop/orders/cart.py:12)",
            ]
        );
    }

    /// Makes sure that a frame of which little is known still says so.
    #[test]
    fn unknown_parts_show() {
        assert_eq!(texts("", "", 0)[0], "? (?)");
        assert_eq!(texts(" \t", "\u{200b}", 3)[0], r"\t (\u200b:3)");
    }

    /// Makes sure that no name can make a frame that is more than one line, or whose end reads as a count.
    #[test]
    fn frames_are_one_line_and_closed() {
        for name in hostile_names() {
            for text in texts(&name, &name, 1) {
                assert_eq!(text.lines().count(), 1, "{text}");
                assert!(text.ends_with(')') && text.trim() == text, "{text}");
            }
        }
        for mark in [Mark::FramesOmitted(3), Mark::RootLost, Mark::Unreadable] {
            assert!(mark.label().ends_with(']'));
        }
    }
}
