//! One line that is rewritten while recording: time, samples, processes, losses.

use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{output::text, recording::Progress};

/// How often the line is rewritten.
const REFRESH: Duration = Duration::from_millis(250);

/// The progress line; where standard error is no terminal, nothing is shown.
pub struct Line {
    bar: ProgressBar,
    duration: Option<Duration>,
    last: Option<Instant>,
}

impl Line {
    /// A line for a recording of this length.
    #[must_use]
    pub fn new(shown: bool, duration: Option<Duration>) -> Self {
        let bar = if shown && stderr().is_terminal() {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {msg}") {
            bar.set_style(style);
        }
        Self {
            bar,
            duration,
            last: None,
        }
    }

    /// How often it is to be shown anew, where it is shown.
    #[must_use]
    pub fn refresh(&self) -> Option<Duration> {
        (!self.bar.is_hidden()).then_some(REFRESH)
    }

    /// Shows how far the recording has come.
    pub fn show(&mut self, progress: impl FnOnce() -> Progress) {
        if self.bar.is_hidden() || self.last.is_some_and(|last| last.elapsed() < REFRESH) {
            return;
        }
        self.last = Some(Instant::now());
        self.bar.set_message(message(progress(), self.duration));
        self.bar.tick();
    }

    /// Takes the line away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn message(progress: Progress, duration: Option<Duration>) -> String {
    let seconds = progress.elapsed.as_secs_f64();
    let time = match duration {
        Some(duration) => format!("{seconds:.1} of {:.1} s", duration.as_secs_f64()),
        None => format!("{seconds:.1} s, Ctrl-C to stop"),
    };
    let mut message = format!(
        "Recording {time} | {} from {}",
        text::counted(progress.samples, "sample", "samples"),
        text::counted(
            progress.processes as u64,
            "Python process",
            "Python processes"
        ),
    );
    if progress.lost > 0 {
        message += &format!(
            " | {} lost",
            text::counted(progress.lost, "sample", "samples")
        );
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that the line says what there is to know, and losses only where there are any.
    #[test]
    fn messages() {
        let mut progress = Progress {
            elapsed: Duration::from_millis(2500),
            samples: 1,
            processes: 2,
            lost: 0,
        };
        assert_eq!(
            message(progress, Some(Duration::from_secs(10))),
            "Recording 2.5 of 10.0 s | 1 sample from 2 Python processes"
        );
        progress.lost = 3;
        assert_eq!(
            message(progress, None),
            "Recording 2.5 s, Ctrl-C to stop | 1 sample from 2 Python processes | 3 samples lost"
        );
    }
}
