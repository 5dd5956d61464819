//! Checks of a profile against what is true of a program.

pub mod filtered;
pub mod names;
pub mod paths;
pub mod reused;
pub mod sites;
pub mod truths;

use std::fmt::Display;

use anyhow::{Context, Result, bail};

/// What was found wrong, over several interpreters: a test goes through all before it fails.
#[derive(Debug, Default)]
pub struct Failures(Vec<String>);

impl Failures {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn add(&mut self, of: impl Display, what: impl Display) {
        self.0.push(format!("{of}: {what}"));
    }

    /// Adds one where this is an error.
    pub fn expect<T>(&mut self, of: impl Display, result: Result<T>) -> Option<T> {
        result
            .map_err(|error| self.add(of, format!("{error:#}")))
            .ok()
    }

    /// Adds one where this does not hold.
    pub fn require(&mut self, of: impl Display, holds: bool, otherwise: impl Display) {
        if !holds {
            self.add(of, otherwise);
        }
    }

    /// Ends the test.
    ///
    /// # Errors
    /// Where anything was found wrong; the error says all of it.
    pub fn finish(self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        bail!("{} wrong:\n{}", self.0.len(), self.0.join("\n"))
    }
}

/// Whether `value` is within `tolerance` (0.02: 2 %) of what is true.
#[must_use]
pub fn is_within(value: f64, truth: f64, tolerance: f64) -> bool {
    (value - truth).abs() <= tolerance * truth.abs()
}

/// A count for arithmetic.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of samples are far below 2^53"
)]
pub fn number(count: u64) -> f64 {
    count as f64
}

/// Runs a check that rests on chance, such as a share of a number of samples: once more where it fails. What is wrong
/// fails again; what was bad luck hardly does.
///
/// # Errors
/// Where it fails twice.
pub fn twice(check: impl Fn() -> Result<()>) -> Result<()> {
    check().or_else(|first| check().with_context(|| format!("and before: {first:#}")))
}
