//! How the profiler's budget was kept, in a sentence.

use crate::profile::model::Recording;

use super::text::{count, time};

/// What a person wants to know of the budget, where there was one.
pub(super) fn sentence(recording: &Recording) -> Option<String> {
    let kept = recording.budget?;
    let budget = kept.budget;
    let used = format!("{:.2} %", kept.percent());
    if !kept.is_kept() {
        return Some(format!(
            "The profiler could not stay within {budget}, even at {} Hz: it used {used}",
            hertz(kept.lowest_hz)
        ));
    }
    if kept.lowered <= 0.0 {
        return Some(format!(
            "The rate had not to be lowered to stay within {budget}: the profiler used {used}"
        ));
    }
    let of = |seconds: f64| time((seconds * 1e9) as u64);
    Some(format!(
        "The rate was lowered to {} Hz (from {}) for {} of the {}, to stay within {budget}: the profiler used {used}",
        hertz(kept.lowered_hz),
        count(recording.rate_hz),
        of(kept.lowered),
        of(kept.seconds),
    ))
}

fn hertz(rate: f64) -> String {
    count(rate.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        output::testing::recording,
        profile::budget::{Budget, Kept},
    };

    fn said(change: impl FnOnce(&mut Kept)) -> String {
        let mut kept = Kept {
            budget: Budget {
                percent: 1.0,
                of_host: false,
            },
            cores: 0.01,
            seconds: 10.0,
            spent: 0.0987,
            lowered: 9.5,
            lowered_hz: 1234.4,
            lowest_hz: 100.0,
        };
        change(&mut kept);
        let recording = Recording {
            rate_hz: 10_000,
            budget: Some(kept),
            ..recording()
        };
        sentence(&recording).unwrap_or_default()
    }

    /// Makes sure that it is said when and how far the rate was lowered, that it was not, and that it did not help.
    #[test]
    fn sentences() {
        assert_eq!(
            said(|_| {}),
            "The rate was lowered to 1,234 Hz (from 10,000) for 9.50 s of the 10.0 s, to stay within 1 % of a core: \
             the profiler used 0.99 %"
        );
        assert_eq!(
            said(|kept| kept.lowered = 0.0),
            "The rate had not to be lowered to stay within 1 % of a core: the profiler used 0.99 %"
        );
        assert_eq!(
            said(|kept| kept.spent = 0.2),
            "The profiler could not stay within 1 % of a core, even at 100 Hz: it used 2.00 %"
        );
        assert_eq!(sentence(&recording()), None);
    }
}
