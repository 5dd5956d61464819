//! Stacks as sequences of frame texts, equal ones added up: what flame graphs and collapsed stacks are made of.

use std::collections::HashMap;

use crate::profile::model::{Frame, Mark, Profile};

use super::{
    Group, Options,
    frame::{self, Kind},
};

/// A stack of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Root first; never empty.
    pub frames: Vec<&'a Text>,
    /// How many samples.
    pub count: u64,
    /// The time that they stand for, in ns.
    pub weight_ns: u64,
}

/// A frame's text and what the frame is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub text: String,
    pub kind: Kind,
}

/// Every frame text of a profile, once.
#[derive(Debug, Default)]
pub(super) struct Folded {
    texts: Vec<Text>,
    /// By frames (indices into `texts`): samples and ns.
    stacks: HashMap<Vec<usize>, (u64, u64)>,
}

impl Folded {
    /// Folds the samples of a profile, under the groups and texts that the options ask for.
    pub fn new(profile: &Profile, options: &Options) -> Self {
        let groups = options.groups();
        let mut folded = Self::default();
        let mut index = HashMap::new();
        let mut frames = HashMap::new();
        let mut roots: HashMap<(Group, usize), usize> = HashMap::new();
        for sample in &profile.samples {
            let process = &profile.processes[sample.process];
            let thread = &profile.threads[sample.thread];
            let mut stack = Vec::with_capacity(8);
            for &group in &groups {
                let of = match group {
                    Group::Container | Group::Process => sample.process,
                    Group::Thread => sample.thread,
                };
                stack.push(*roots.entry((group, of)).or_insert_with(|| {
                    let text = frame::group(group, process, thread);
                    folded.intern(&mut index, text, Kind::Group)
                }));
            }
            let of_stack = &profile.stacks[sample.stack].frames;
            let no_frame = [Frame::Mark(Mark::NoFrame)];
            for &frame in if of_stack.is_empty() {
                &no_frame[..]
            } else {
                of_stack
            } {
                stack.push(*frames.entry(frame).or_insert_with(|| {
                    let (text, kind) = frame::text(profile, frame, options);
                    folded.intern(&mut index, text, kind)
                }));
            }
            let (count, weight_ns) = folded.stacks.entry(stack).or_default();
            *count = count.saturating_add(sample.count);
            *weight_ns = weight_ns.saturating_add(sample.weight_ns);
        }
        folded
    }

    fn intern(&mut self, index: &mut HashMap<String, usize>, text: String, kind: Kind) -> usize {
        *index.entry(text.clone()).or_insert_with(|| {
            self.texts.push(Text { text, kind });
            self.texts.len() - 1
        })
    }

    /// The stacks in the order of their frames' texts, so that equal beginnings are neighbours.
    pub fn lines(&self) -> Vec<Line<'_>> {
        let mut lines: Vec<_> = self
            .stacks
            .iter()
            .map(|(frames, &(count, weight_ns))| Line {
                frames: frames.iter().map(|&text| &self.texts[text]).collect(),
                count,
                weight_ns,
            })
            .collect();
        lines.sort_unstable_by(|a, b| {
            let a = a.frames.iter().map(|text| &text.text);
            a.cmp(b.frames.iter().map(|text| &text.text))
        });
        lines
    }

    /// Every text with what it stands for.
    pub fn texts(&self) -> &[Text] {
        &self.texts
    }
}

/// The weights of all boxes of the flame graph of these lines, in ns.
pub(super) fn box_weights(lines: &[Line<'_>]) -> Vec<u64> {
    let mut closed = Vec::new();
    let mut open: Vec<(&str, u64)> = Vec::new();
    for line in lines {
        let shared = open
            .iter()
            .zip(&line.frames)
            .take_while(|((text, _), frame)| *text == frame.text)
            .count();
        closed.extend(open.drain(shared..).map(|(_, weight)| weight));
        for (_, weight) in &mut open {
            *weight += line.weight_ns;
        }
        open.extend(
            line.frames[shared..]
                .iter()
                .map(|frame| (frame.text.as_str(), line.weight_ns)),
        );
    }
    closed.extend(open.into_iter().map(|(_, weight)| weight));
    closed
}

#[cfg(test)]
mod tests {
    use crate::output::testing::example;

    use super::*;

    fn fold(options: &Options) -> Vec<(String, u64, u64)> {
        Folded::new(&example(), options)
            .lines()
            .iter()
            .map(|line| {
                let frames: Vec<_> = line.frames.iter().map(|text| text.text.as_str()).collect();
                (frames.join(" > "), line.count, line.weight_ns)
            })
            .collect()
    }

    /// Makes sure that lines of a function become one under `function_only`, with counts and times added up.
    #[test]
    fn equal_texts_are_added_up() {
        let options = Options {
            function_only: true,
            group_by: vec![Group::Container, Group::Process],
            threads: true,
            ..Options::default()
        };
        let root = "[no container] > web (pid 10) > MainThread (tid 10)";
        assert_eq!(
            fold(&options),
            [
                (format!("{root} > main (shop/app.py:1) > Shop.handle (shop/app.py:10)"), 60, 600_000_000),
                (
                    format!("{root} > main (shop/app.py:1) > Shop.handle (shop/app.py:10) > Shop.handle (shop/app.py:10)"),
                    20,
                    200_000_000
                ),
                (
                    "[no container] > web (pid 10) > pool-0 (tid 11) > main (shop/app.py:1) > decode (json/decoder.py:30)"
                        .into(),
                    10,
                    100_000_000
                ),
                (
                    "jobs > job (pid 20) > MainThread (tid 20) > [root frames omitted] > main (shop/app.py:1)".into(),
                    100,
                    1_000_000_000
                ),
            ]
        );
    }

    /// Makes sure that the weight of every box is known before it is drawn. By hand: `main` 90, `Shop.handle` 80, the
    /// one under it 20, `decode` 10, the mark 100 and the `main` under it 100 samples of 10 ms.
    #[test]
    fn boxes_weigh_what_stands_on_them() {
        let folded = Folded::new(&example(), &Options::default());
        let mut weights = box_weights(&folded.lines());
        weights.sort_unstable();
        assert_eq!(
            weights,
            [10, 20, 80, 90, 100, 100].map(|samples| samples * 10_000_000)
        );
    }
}
