//! The stacks of `line_sites.py` and `large_line_table.py`: every frame on its line.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::collapsed::{Collapsed, Stack};

use super::paths::Impossible;

/// What `line_sites.py` says that is true.
#[derive(Clone, Debug, Deserialize)]
pub struct Truth {
    /// The generated program's file name.
    pub file: String,
    /// How many call sites it has.
    pub sites: usize,
    /// By site, every chain of callers (function and line) from below `drive` to the site's caller.
    pub chains: BTreeMap<String, Vec<Vec<(String, u32)>>>,
    /// By function, every line that has instructions.
    pub lines: BTreeMap<String, BTreeSet<u32>>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Call sites that have samples.
    pub distinct: BTreeSet<String>,
    /// Samples with a frame on a wrong line.
    pub wrong: Impossible,
}

/// Checks the callers of every call site, and the lines of all other frames of the generated program.
#[must_use]
pub fn check(profile: &Collapsed, truth: &Truth) -> Found {
    let mut found = Found::default();
    for stack in &profile.stacks {
        let site = stack
            .names()
            .position(|name| truth.chains.contains_key(name));
        match site {
            Some(site) => {
                let name = &stack.frames[site].name;
                if truth.chains[name].contains(&callers(stack, site)) {
                    found.distinct.insert(name.clone());
                } else {
                    found.wrong.add(
                        stack,
                        &format!("{name} is called from {:?}", truth.chains[name]),
                    );
                }
            }
            None if !lines_exist(stack, truth) => found.wrong.add(stack, "no such line"),
            None => (),
        }
    }
    found
}

/// The frames from below `drive` to above the site.
fn callers(stack: &Stack, site: usize) -> Vec<(String, u32)> {
    let drive = stack.names().position(|name| name == "drive");
    let first = drive.map_or(0, |drive| drive + 1).min(site);
    stack.frames[first..site]
        .iter()
        .map(|frame| (frame.name.clone(), frame.line.unwrap_or(0)))
        .collect()
}

fn lines_exist(stack: &Stack, truth: &Truth) -> bool {
    stack
        .frames
        .iter()
        .filter(|frame| frame.file.as_deref() == Some(&truth.file))
        .all(|frame| {
            let lines = truth.lines.get(&frame.name);
            match frame.line {
                Some(line) => lines.is_some_and(|lines| lines.contains(&line)),
                // Instructions without a line are possible, in functions that exist.
                None => lines.is_some(),
            }
        })
}

/// The samples of `large_line_table.py` in which the caller of `leaf_NNN` is on a line that does not leave NNN
/// divided by `modulus`; and how many were looked at.
///
/// # Errors
/// Where a leaf has no number or no caller.
pub fn large(profile: &Collapsed, modulus: u32) -> Result<(Impossible, u64)> {
    let mut wrong = Impossible::default();
    let mut looked_at = 0;
    for stack in &profile.stacks {
        let Some(leaf) = stack.names().position(|name| name.starts_with("leaf_")) else {
            continue;
        };
        let number: u32 = stack.frames[leaf].name["leaf_".len()..].parse()?;
        let caller = leaf
            .checked_sub(1)
            .and_then(|index| stack.frames.get(index))
            .context("a leaf without a caller")?;
        looked_at += stack.count;
        if caller.name != "large" || caller.line.is_none_or(|line| line % modulus != number) {
            wrong.add(stack, "the caller is on another line");
        }
    }
    Ok((wrong, looked_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth() -> Truth {
        serde_json::from_str(
            r#"{"file": "g.py", "sites": 2, "chains": {"site_0001": [[["f", 5]], [["f", 6], ["g", 7]]]},
                "lines": {"f": [4, 5, 6], "g": [7], "drive": [9]}}"#,
        )
        .unwrap()
    }

    /// Makes sure that a site's callers must be a chain that was recorded, and other frames on lines that exist.
    #[test]
    fn lines_are_held_against_the_truth() {
        for (text, wrong) in [
            (
                "drive (g.py:9);f (g.py:5);site_0001 (s.py:1);spin (l.py:3)",
                0,
            ),
            ("drive (g.py:9);f (g.py:6);g (g.py:7);site_0001 (s.py:1)", 0),
            ("drive (g.py:9);f (g.py:4)", 0),
            ("drive (g.py:9);f (g.py)", 0),
            ("drive (g.py:9);f (g.py:6);site_0001 (s.py:1)", 1),
            ("drive (g.py:9);f (g.py);site_0001 (s.py:1)", 1),
            ("drive (g.py:9);f (g.py:8)", 1),
            ("drive (g.py:9);h (g.py:4)", 1),
        ] {
            let profile = Collapsed::parse(&format!("m (m.py:1);{text} 1\n")).unwrap();
            assert_eq!(check(&profile, &truth()).wrong.samples, wrong, "{text}");
        }
    }

    /// Makes sure that a remainder that does not fit is found.
    #[test]
    fn remainders_tell_lines() {
        let text = "large (l.py:1497);leaf_000 (x.py:2) 3\nlarge (l.py:1498);leaf_000 (x.py:2) 2\nlarge (l.py:7) 1\n";
        let (wrong, looked_at) = large(&Collapsed::parse(text).unwrap(), 499).unwrap();
        assert_eq!((wrong.samples, looked_at), (2, 5));
    }
}
