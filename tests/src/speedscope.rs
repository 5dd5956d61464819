//! The profile as speedscope reads it: the format whose stacks weigh time.

use anyhow::{Context, Result};
use serde::Deserialize;

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
    samples: Vec<Vec<usize>>,
    weights: Vec<f64>,
}

impl Speedscope {
    /// Reads a profile.
    ///
    /// # Errors
    /// Where it has another form.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).context("no speedscope profile")
    }

    /// The share of the time that was spent in or under a function whose frame's name begins so.
    #[must_use]
    pub fn share_under(&self, function: &str) -> f64 {
        let is_meant = |&index: &usize| {
            let frame = self.shared.frames.get(index);
            frame.is_some_and(|frame| frame.name.split(' ').next() == Some(function))
        };
        let (mut meant, mut all) = (0.0, 0.0);
        for profile in &self.profiles {
            for (stack, weight) in profile.samples.iter().zip(&profile.weights) {
                all += weight;
                if stack.iter().any(is_meant) {
                    meant += weight;
                }
            }
        }
        if all > 0.0 { meant / all } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that time counts and not the number of stacks.
    #[test]
    fn shares_are_of_time() {
        let text = r#"{"shared": {"frames": [{"name": "main"}, {"name": "work"}]},
            "profiles": [{"samples": [[0], [0, 1]], "weights": [30, 10]}]}"#;
        let profile = Speedscope::parse(text.as_bytes()).unwrap();
        assert_eq!(profile.share_under("work"), 0.25);
        assert_eq!(profile.share_under("main"), 1.0);
    }
}
