//! The stacks of `reused_code.py`: what the name of a function says of itself and of its caller.

use crate::collapsed::{Collapsed, Frame};

use super::paths::Impossible;

/// What `inner_III_CCCC_FFFF` tells.
struct Inner<'a> {
    number: &'a str,
    call_line: u32,
    first_line: u32,
}

fn inner(name: &str) -> Option<Inner<'_>> {
    let mut parts = name.strip_prefix("inner_")?.split('_');
    Some(Inner {
        number: parts.next()?,
        call_line: parts.next()?.parse().ok()?,
        first_line: parts.next()?.parse().ok()?,
    })
}

/// The samples that cannot be: a caller of another function, a line of another function, frames out of order.
#[must_use]
pub fn impossible(profile: &Collapsed) -> Impossible {
    let mut found = Impossible::default();
    for stack in &profile.stacks {
        if let Some(wrong) = wrong(&stack.frames) {
            found.add(stack, wrong);
        }
    }
    found
}

fn wrong(frames: &[Frame]) -> Option<&'static str> {
    let name = |index: usize| frames.get(index).map(|frame| frame.name.as_str());
    for (index, expected) in ["<module>", "main"].iter().enumerate() {
        if name(index).is_some_and(|name| name != *expected) {
            return Some("not under main");
        }
    }
    match name(2) {
        None => return None,
        Some("make_and_run") => (),
        Some(_) => return Some("not under make_and_run"),
    }
    let outer = frames.get(3)?;
    // The source's own module frame, while it defines the two functions.
    if outer.name == "<module>" {
        return (frames.len() > 4).then_some("a module with callees");
    }
    let Some(number) = outer.name.strip_prefix("outer_") else {
        return Some("an unknown function");
    };
    let leaf = frames.get(4)?;
    let Some(told) = inner(&leaf.name) else {
        return Some("an unknown callee");
    };
    if number != "same" && number != told.number {
        return Some("a caller that belongs to another function");
    }
    if outer.line != Some(told.call_line) {
        return Some("the caller is on a wrong line");
    }
    let lines = told.first_line..=told.first_line + 2;
    if !leaf.line.is_some_and(|line| lines.contains(&line)) {
        return Some("a line of another function");
    }
    (frames.len() > 5).then_some("frames under the leaf")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "<module> (r.py:95);main (r.py:60);make_and_run (r.py:52)";

    fn samples(rest: &str) -> u64 {
        impossible(&Collapsed::parse(&format!("{ROOT}{rest} 1\n")).unwrap()).samples
    }

    /// Makes sure that callers, lines and order are held against the names, and that what is right passes.
    #[test]
    fn names_tell_the_truth() {
        for right in [
            "",
            ";<module> (reused.py:12)",
            ";outer_017 (reused.py:30)",
            ";outer_017 (reused.py:30);inner_017_0030_0200 (reused.py:201)",
            ";outer_same (reused.py:30);inner_017_0030_0200 (reused.py:200)",
        ] {
            assert_eq!(samples(right), 0, "{right}");
        }
        for wrong in [
            ";outer_016 (reused.py:30);inner_017_0030_0200 (reused.py:201)",
            ";outer_017 (reused.py:31);inner_017_0030_0200 (reused.py:201)",
            ";outer_same (reused.py:49);inner_017_0030_0200 (reused.py:200)",
            ";outer_017 (reused.py:30);inner_017_0030_0200 (reused.py:203)",
            ";outer_017 (reused.py:30);inner_017_0030_0200 (reused.py)",
            ";outer_017 (reused.py:30);outer_017 (reused.py:30)",
            ";inner_017_0030_0200 (reused.py:201)",
        ] {
            assert_eq!(samples(wrong), 1, "{wrong}");
        }
    }
}
