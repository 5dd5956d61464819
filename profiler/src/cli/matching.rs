//! What is said of a filter that matches nothing. Names come from the host's processes and cgroups: untrusted.

use crate::{
    output::text::printable,
    recording::selection::{Selection, Unmatched, term::Kind},
};

/// What there is instead of what was asked for.
pub fn there_are(unmatched: &Unmatched) -> String {
    let names = unmatched.names();
    if !names.is_empty() {
        return format!("there are: {}", printable(&names));
    }
    let none = match unmatched.term.kind {
        Kind::Cgroup => "no cgroup",
        Kind::Container => "no container",
        Kind::Unit => "no unit",
        Kind::User | Kind::Comm => "no Python process",
    };
    format!("there is {none}")
}

/// What to say when recording begins: whether some process matches, and which terms do not.
pub fn notes_at_start(selection: &Selection, some_match: bool) -> Vec<String> {
    let unmatched = selection.unmatched();
    if unmatched.is_empty() && !some_match {
        let words = selection.words();
        return vec![format!(
            "no Python process matches {} now: waiting for one",
            printable(&words)
        )];
    }
    let notes = unmatched.iter().map(|unmatched| {
        let waiting = if unmatched.term.exclude {
            ""
        } else {
            "; waiting"
        };
        let term = unmatched.term.to_string();
        format!(
            "nothing matches {} now; {}{waiting}",
            printable(&term),
            there_are(unmatched)
        )
    });
    notes.collect()
}

/// What to say when it has ended, and something was profiled.
pub fn notes_at_end(selection: &Selection) -> Vec<String> {
    let mut notes: Vec<String> = selection.unmatched().iter().map(never).collect();
    if selection.has_overflowed() {
        notes.push(
            "more cgroups match than the filter has room for: name one that is above them".into(),
        );
    }
    notes
}

/// Why nothing was profiled.
pub fn nothing(selection: &Selection) -> String {
    let unmatched = selection.unmatched();
    match unmatched.iter().find(|unmatched| !unmatched.term.exclude) {
        Some(unmatched) => never(unmatched),
        None => format!(
            "no Python process matched {}",
            printable(&selection.words())
        ),
    }
}

fn never(unmatched: &Unmatched) -> String {
    let term = unmatched.term.to_string();
    format!(
        "nothing matched {}; {}",
        printable(&term),
        there_are(unmatched)
    )
}
