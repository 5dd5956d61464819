//! Collapsed stacks: one line per stack, `root;...;leaf COUNT`, where COUNT is the number of samples.
//!
//! `;` in a name becomes `:`, as in <https://github.com/brendangregg/FlameGraph>'s `stackcollapse-perf.pl`.
//! Control characters are escaped visibly by then. A leaf never ends with a number, so the last blank of a line
//! stands before its count. Lines are sorted by their frames.

use std::io::{self, Write};

use crate::profile::model::Profile;

use super::{Options, folded::Folded};

pub(super) fn write(profile: &Profile, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let mut text = String::new();
    for line in Folded::new(profile, options).lines() {
        if line.count == 0 {
            // Time without a sample, as that of an interpreter's start.
            continue;
        }
        text.clear();
        for (depth, frame) in line.frames.iter().enumerate() {
            if depth > 0 {
                text.push(';');
            }
            text.extend(frame.text.chars().map(|c| if c == ';' { ':' } else { c }));
        }
        writeln!(out, "{text} {}", line.count)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::output::{
        Format, Group,
        testing::{example, hostile, hostile_names},
    };

    use super::*;

    fn collapsed(profile: &Profile, options: &Options) -> String {
        let mut out = Vec::new();
        crate::output::write(profile, Format::Collapsed, options, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Makes sure that each stack is a line with its samples, in the order of the texts.
    #[test]
    fn a_stack_is_a_line() {
        assert_eq!(
            collapsed(&example(), &Options::default()),
            "[root frames omitted];main (shop/app.py:3) 100\n\
             main (shop/app.py:3);Shop.handle (shop/app.py:12) 60\n\
             main (shop/app.py:3);Shop.handle (shop/app.py:12);Shop.handle (shop/app.py:14) 20\n\
             main (shop/app.py:3);decode (json/decoder.py:31) 10\n"
        );
    }

    /// Checks a file against the grammar that its readers use: stackcollapse's `(.*) (\d+)`, split at `;`.
    fn check(names: &[String]) {
        let options = Options {
            threads: true,
            group_by: vec![Group::Container, Group::Process],
            ..Options::default()
        };
        let profile = hostile(names);
        let text = collapsed(&profile, &options);
        let mut samples = 0;
        for line in text.lines() {
            let (stack, count) = line.rsplit_once(' ').unwrap();
            samples += count.parse::<u64>().unwrap();
            assert!((4..=5).contains(&stack.split(';').count()), "{line}");
            assert!(!stack.ends_with(|c: char| c.is_ascii_digit()), "{line}");
            assert!(!line.contains(char::is_control), "{line}");
        }
        assert_eq!(samples, profile.ledger.delivered);
    }

    /// Makes sure that names with separators, line breaks and digits leave the lines readable.
    #[test]
    fn hostile_names_keep_the_grammar() {
        check(&hostile_names());
    }

    proptest! {
        /// Makes sure of the same for any names.
        #[test]
        fn any_names_keep_the_grammar(names in prop::collection::vec(any::<String>(), 1..5)) {
            check(&names);
        }
    }
}
