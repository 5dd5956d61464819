//! The collapsed format, read as its definition has it: `root;...;leaf COUNT`.

use anyhow::{Context, Result, ensure};

/// All stacks of a file.
#[derive(Clone, Debug, Default)]
pub struct Collapsed {
    /// The lines.
    pub stacks: Vec<Stack>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// What stands above the process, where something does: the container.
    pub container: Option<String>,
    /// The process, where the stack stands under one: `comm (pid 12)`.
    pub process: Option<Group>,
    /// The thread, where the stack stands under one: `name (tid 12)`.
    pub thread: Option<Group>,
    /// Frames from root to leaf.
    pub frames: Vec<Frame>,
    /// How many samples.
    pub count: u64,
}

/// A process or thread above a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The kernel's name of a process, the name of a thread.
    pub name: String,
    /// Process or thread id.
    pub id: u32,
}

/// One frame: `name (file:line)`, or a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The function's name; the whole text where it has no file.
    pub name: String,
    /// The file.
    pub file: Option<String>,
    /// The line.
    pub line: Option<u32>,
}

impl Collapsed {
    /// Reads a file.
    ///
    /// # Errors
    /// Names the first line that has not the form.
    pub fn parse(text: &str) -> Result<Self> {
        let stacks = text
            .split_terminator('\n')
            .map(|line| Stack::parse(line).with_context(|| format!("stack {line:?}")))
            .collect::<Result<_>>()?;
        Ok(Self { stacks })
    }

    /// The stacks of one process.
    #[must_use]
    pub fn of_process(&self, pid: u32) -> Self {
        let of_pid = |stack: &&Stack| stack.process.as_ref().is_some_and(|group| group.id == pid);
        Self {
            stacks: self.stacks.iter().filter(of_pid).cloned().collect(),
        }
    }

    /// How many samples there are.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.stacks.iter().map(|stack| stack.count).sum()
    }

    /// How many samples have a stack that this holds of.
    pub fn samples_where(&self, mut holds: impl FnMut(&Stack) -> bool) -> u64 {
        self.stacks
            .iter()
            .filter(|stack| holds(stack))
            .map(|stack| stack.count)
            .sum()
    }

    /// The share of samples, from 0 to 1, whose stack has a function of this name.
    #[must_use]
    pub fn share_under(&self, function: &str) -> f64 {
        let under = self.samples_where(|stack| stack.has(function));
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of samples are far below 2^53"
        )]
        {
            under as f64 / self.samples().max(1) as f64
        }
    }
}

impl Stack {
    fn parse(line: &str) -> Result<Self> {
        ensure!(!line.contains(char::is_control), "a control character");
        let (stack, count) = line.rsplit_once(' ').context("no count")?;
        let mut process = None;
        let mut thread = None;
        let mut frames = Vec::new();
        let (container, stack) = match stack.split_once(';') {
            Some((above, below))
                if Group::parse(above, "pid").is_none()
                    && below
                        .split(';')
                        .next()
                        .is_some_and(|text| Group::parse(text, "pid").is_some()) =>
            {
                (Some(above.to_owned()), below)
            }
            _ => (None, stack),
        };
        for text in stack.split(';') {
            ensure!(!text.is_empty(), "an empty frame");
            if frames.is_empty() && process.is_none() && thread.is_none() {
                process = Group::parse(text, "pid");
                if process.is_some() {
                    continue;
                }
            }
            if frames.is_empty() && thread.is_none() {
                thread = Group::parse(text, "tid");
                if thread.is_some() {
                    continue;
                }
            }
            frames.push(Frame::parse(text));
        }
        Ok(Self {
            container,
            process,
            thread,
            frames,
            count: count.parse()?,
        })
    }

    /// The functions' names, root first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.frames.iter().map(|frame| frame.name.as_str())
    }

    /// Whether a function of this name is in the stack.
    #[must_use]
    pub fn has(&self, function: &str) -> bool {
        self.names().any(|name| name == function)
    }
}

impl Group {
    fn parse(text: &str, word: &str) -> Option<Self> {
        let (name, rest) = text.rsplit_once(" (")?;
        let id = rest
            .strip_prefix(word)?
            .strip_prefix(' ')?
            .strip_suffix(')')?;
        Some(Self {
            name: name.to_owned(),
            id: id.parse().ok()?,
        })
    }
}

impl Frame {
    fn parse(text: &str) -> Self {
        let whole = || Self {
            name: text.to_owned(),
            file: None,
            line: None,
        };
        let Some((name, rest)) = text.rsplit_once(" (") else {
            return whole();
        };
        let Some(place) = rest.strip_suffix(')') else {
            return whole();
        };
        let numbered = place
            .rsplit_once(':')
            .and_then(|(file, line)| Some((file, line.parse().ok()?)));
        let (file, line) = match numbered {
            Some((file, line)) => (file, Some(line)),
            None => (place, None),
        };
        Self {
            name: name.to_owned(),
            file: Some(file.to_owned()),
            line,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that processes, threads, frames with and without lines, and marks are told apart.
    #[test]
    fn lines_are_understood() {
        let text = "python3.8 (pid 7);worker (1) (tid 9);main (a/b.py:12);[3 frames omitted];f (x) (<string>) 41\n\
                    <module> (m.py:1) 2\n\
                    shop;python3.8 (pid 8);main (a/b.py:12) 1\n";
        let parsed = Collapsed::parse(text).unwrap();
        assert_eq!(parsed.samples(), 44);
        let first = &parsed.stacks[0];
        assert_eq!(first.process.as_ref().unwrap().id, 7);
        assert_eq!(first.thread.as_ref().unwrap().name, "worker (1)");
        assert_eq!(
            first.names().collect::<Vec<_>>(),
            ["main", "[3 frames omitted]", "f (x)"]
        );
        assert_eq!(first.frames[0].line, Some(12));
        assert_eq!(first.frames[2].file.as_deref(), Some("<string>"));
        assert_eq!(parsed.stacks[1].process, None);
        assert_eq!(parsed.of_process(7).samples(), 41);
        assert!(parsed.share_under("main") > 0.95);
        let contained = &parsed.of_process(8).stacks[0];
        assert_eq!(contained.container.as_deref(), Some("shop"));
        assert_eq!(contained.frames.len(), 1);
    }

    /// Makes sure that lines without a count, and those with control characters, are refused.
    #[test]
    fn bad_lines_are_refused() {
        for text in ["main", "main (a.py:1) x", "a;;b 1", "a\x1b[2J 1", "a\rb 1"] {
            assert!(Collapsed::parse(text).is_err(), "{text:?}");
        }
    }
}
