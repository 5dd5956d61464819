//! Instructions by function, as callgrind counts them: the same each time, whatever else the machine does.

use std::{collections::HashMap, fs, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{shell, streams::Streams};

/// Instructions of a function.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Instructions {
    /// Of itself.
    pub own: u64,
    /// Those of what it calls, too.
    pub total: u64,
}

/// Instructions by function.
#[derive(Debug, Default)]
pub struct Profile {
    functions: HashMap<String, Instructions>,
}

impl Profile {
    /// Runs the tool for streams with these arguments; also what it said. With `within`, only what is called by a
    /// function whose name ends so counts.
    pub fn of(
        streams: &Streams,
        arguments: &[&str],
        within: Option<&str>,
    ) -> Result<(Self, Value)> {
        ensure!(
            shell::which("valgrind").is_some(),
            "there is no valgrind: cargo xtask setup provides it"
        );
        let file = tempfile::NamedTempFile::new()?;
        let mut valgrind = Command::new("valgrind");
        valgrind
            .args(["--quiet", "--tool=callgrind"])
            .arg(format!("--callgrind-out-file={}", file.path().display()));
        if let Some(function) = within {
            valgrind.arg(format!("--toggle-collect=*{function}"));
        }
        let said = streams.run_under(&mut valgrind, arguments)?;
        let text = fs::read_to_string(file.path())?;
        Ok((Self::parse(&text).context("callgrind's output")?, said))
    }

    /// Reads callgrind's format (<https://valgrind.org/docs/manual/cl-format.html>), with positions that are lines.
    fn parse(text: &str) -> Option<Self> {
        let mut names = HashMap::new();
        let mut functions: HashMap<String, Instructions> = HashMap::new();
        let mut current = String::new();
        let mut is_call = false;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("fn=") {
                current = full_name(&mut names, name)?;
            } else if let Some(name) = line.strip_prefix("cfn=") {
                // Names are given in full where they come first.
                full_name(&mut names, name)?;
            } else if line.starts_with("calls=") {
                is_call = true;
            } else if line
                .starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first))
            {
                let instructions: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
                let function = functions.entry(current.clone()).or_default();
                function.total += instructions;
                if !std::mem::take(&mut is_call) {
                    function.own += instructions;
                }
            }
        }
        Some(Self { functions })
    }

    /// Instructions of the one function whose path ends with this name, with what it calls.
    pub fn total(&self, name: &str) -> Result<u64> {
        let mut found = self.functions.iter().filter(|(function, _)| {
            let path = function.strip_suffix(name);
            path.is_some_and(|path| path.is_empty() || path.ends_with("::"))
        });
        match (found.next(), found.next()) {
            (Some((_, instructions)), None) => Ok(instructions.total),
            _ => anyhow::bail!("callgrind does not know one function {name}"),
        }
    }

    /// The functions that take most themselves.
    pub fn costliest(&self, count: usize) -> Vec<(&str, Instructions)> {
        let mut all: Vec<_> = self
            .functions
            .iter()
            .map(|(name, &instructions)| (name.as_str(), instructions))
            .collect();
        all.sort_by_key(|&(name, instructions)| (std::cmp::Reverse(instructions.own), name));
        all.truncate(count);
        all
    }
}

/// `(7) name` defines a short form, `(7)` uses it.
fn full_name(names: &mut HashMap<String, String>, name: &str) -> Option<String> {
    let Some((short, rest)) = name.strip_prefix('(').and_then(|name| name.split_once(')')) else {
        return Some(name.to_owned());
    };
    match rest.trim() {
        "" => names.get(short).cloned(),
        long => {
            names.insert(short.to_owned(), long.to_owned());
            Some(long.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Instructions, Profile};

    /// Makes sure that a function's instructions are those of its lines, and in all those of its calls too: the example
    /// is that of the format's manual, with names in their short forms.
    #[test]
    fn the_manuals_example() {
        let text = "\
events: Instructions

fl=(1) file1.c
fn=(1) main
16 20
cfn=(2) func1
calls=1 50
16 400
cfi=(2) file2.c
cfn=(3) func2
calls=3 20
16 400

fn=(2)
51 100
cfi=(2)
cfn=(3)
calls=2 20
51 300

fl=(2)
fn=(3)
20 700
";
        let profile = Profile::parse(text).expect("it is well-formed");
        assert_eq!(profile.total("main").ok(), Some(820));
        assert_eq!(profile.total("func1").ok(), Some(400));
        // None ends so, and all do.
        assert!(profile.total("func").is_err() && profile.total("").is_err());
        let own = |own, total| Instructions { own, total };
        assert_eq!(
            profile.costliest(2),
            [("func2", own(700, 700)), ("func1", own(100, 400))]
        );
    }
}
