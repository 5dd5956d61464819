//! What stands above a flame graph.

use std::collections::BTreeSet;

use crate::{
    output::text::{counted, for_terminal, percent, time},
    profile::model::Profile,
};

/// As much as fits beside the buttons in a window of usual width.
const TITLE_COLUMNS: usize = 90;
/// As much as fits into a window of usual width.
const SUBTITLE_COLUMNS: usize = 160;

/// The command line.
pub(super) fn title(profile: &Profile) -> String {
    for_terminal(&profile.recording.command_line, TITLE_COLUMNS)
}

/// Where, how long, how much, what was lost, which interpreters.
pub(super) fn subtitle(profile: &Profile) -> String {
    let recording = &profile.recording;
    let ledger = &profile.ledger;
    let weight_ns: u64 = profile.samples.iter().map(|sample| sample.weight_ns).sum();
    let mut parts = vec![
        recording.host.clone(),
        format!("Linux {}", recording.kernel),
        format!(
            "{} at {} Hz",
            time(recording.duration_ns),
            recording.rate_hz
        ),
        format!(
            "{} = {} of CPU time",
            counted(ledger.delivered, "sample", "samples"),
            time(weight_ns)
        ),
    ];
    let lost = ledger.lost_total();
    if lost > 0 {
        parts.push(format!("{} lost", percent(lost, ledger.taken)));
    }
    let versions: BTreeSet<_> = profile
        .processes
        .iter()
        .filter(|process| process.ledger.delivered > 0)
        .filter_map(|process| process.python.as_deref())
        .map(version_key)
        .collect();
    if !versions.is_empty() {
        let versions: Vec<_> = versions.into_iter().map(|(_, version)| version).collect();
        parts.push(format!("Python {}", versions.join(", ")));
    }
    for_terminal(&parts.join(" · "), SUBTITLE_COLUMNS)
}

/// Orders versions by their numbers: 3.9 before 3.10.
fn version_key(version: &str) -> (Vec<u32>, &str) {
    let numbers = version.split(|c: char| !c.is_ascii_digit());
    (numbers.filter_map(|n| n.parse().ok()).collect(), version)
}

/// Text for XML, where inferno does not write it.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
