//! The profile as speedscope reads it: the format whose stacks weigh time.

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{
    check::number,
    collapsed::{self, Collapsed, Stack},
};

/// A profile in speedscope's format, as far as tests look at it.
#[derive(Debug, Deserialize)]
pub struct Speedscope {
    shared: Shared,
    profiles: Vec<Sampled>,
}

#[derive(Debug, Deserialize)]
struct Shared {
    frames: Vec<Frame>,
}

#[derive(Debug, Deserialize)]
struct Frame {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Sampled {
    name: String,
    samples: Vec<Vec<usize>>,
    /// In ns.
    weights: Vec<u64>,
}

impl Frame {
    fn collapsed(&self) -> collapsed::Frame {
        collapsed::Frame {
            name: self.name.clone(),
            file: None,
            line: None,
        }
    }
}

impl Speedscope {
    /// Reads a profile.
    ///
    /// # Errors
    /// Where it has another form.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).context("no speedscope profile")
    }

    /// The stacks of one process, as the collapsed format has them; times (ns) stand where that has numbers of
    /// samples.
    #[must_use]
    pub fn of_process(&self, pid: u32) -> Collapsed {
        let group = format!("(pid {pid})");
        let mut stacks = Vec::new();
        for profile in &self.profiles {
            if !profile.name.split(" · ").any(|part| part.ends_with(&group)) {
                continue;
            }
            for (stack, &weight) in profile.samples.iter().zip(&profile.weights) {
                let frames = stack
                    .iter()
                    .filter_map(|&index| self.shared.frames.get(index));
                stacks.push(Stack {
                    container: None,
                    process: None,
                    thread: None,
                    frames: frames.map(Frame::collapsed).collect(),
                    count: weight,
                });
            }
        }
        Collapsed { stacks }
    }

    /// The share of the time that was spent in or under a function of this name.
    #[must_use]
    pub fn share_under(&self, function: &str) -> f64 {
        let is_meant = |&index: &usize| {
            let frame = self.shared.frames.get(index);
            frame.is_some_and(|frame| frame.name.split(' ').next() == Some(function))
        };
        let (mut meant, mut all) = (0, 0);
        for profile in &self.profiles {
            for (stack, weight) in profile.samples.iter().zip(&profile.weights) {
                all += weight;
                if stack.iter().any(is_meant) {
                    meant += weight;
                }
            }
        }
        number(meant) / number(all.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that time counts and not the number of stacks.
    #[test]
    fn shares_are_of_time() {
        let text = r#"{"shared": {"frames": [{"name": "main"}, {"name": "work"}]},
            "profiles": [{"name": "a (pid 12)", "samples": [[0], [0, 1]], "weights": [30, 10]}]}"#;
        let profile = Speedscope::parse(text.as_bytes()).unwrap();
        assert_eq!(profile.share_under("work"), 0.25);
        assert_eq!(profile.share_under("main"), 1.0);
        assert_eq!(profile.of_process(12).share_under("work"), 0.25);
        assert_eq!(profile.of_process(2).samples(), 0);
    }
}
