//! pprof's format: a gzipped protobuf message with samples and CPU time, and what is known of each sample as labels.

mod proto;
mod table;
#[cfg(test)]
mod tests;

use std::{
    io::{self, Write},
    time::UNIX_EPOCH,
};

use flate2::{Compression, write::GzEncoder};
use prost::Message;

use crate::{
    host::labels::Runtime,
    profile::model::{Profile, Sample},
};

use super::{
    Options, budget,
    frame::visible,
    text::{count, percent, printable},
};
use table::Table;

pub(super) fn write(profile: &Profile, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let message = message(profile, options).encode_to_vec();
    let mut out = GzEncoder::new(out, Compression::default());
    out.write_all(&message)?;
    out.finish()?;
    Ok(())
}

fn message(profile: &Profile, options: &Options) -> proto::Profile {
    let mut table = Table::new(profile, options);
    let recording = &profile.recording;
    let samples_count = value_type(&mut table, "samples", "count");
    let cpu_ns = value_type(&mut table, "cpu", "nanoseconds");
    let sample = profile
        .samples
        .iter()
        .map(|sample| proto::Sample {
            location_id: table.stack(profile, sample),
            value: vec![signed(sample.count), signed(sample.weight_ns)],
            label: labels(profile, sample, &mut table),
        })
        .collect();
    let comment = comments(profile)
        .iter()
        .map(|comment| table.string(comment))
        .collect();
    let since_epoch = recording.started.duration_since(UNIX_EPOCH);
    proto::Profile {
        sample_type: vec![samples_count, cpu_ns],
        sample,
        time_nanos: since_epoch.map_or(0, |time| i64::try_from(time.as_nanos()).unwrap_or(0)),
        duration_nanos: signed(recording.duration_ns),
        period_type: Some(cpu_ns),
        period: signed(1_000_000_000 / recording.rate_hz.max(1)),
        comment,
        default_sample_type: cpu_ns.r#type,
        mapping: table.mappings,
        location: table.locations,
        function: table.functions,
        string_table: table.strings,
    }
}

fn value_type(table: &mut Table<'_>, r#type: &str, unit: &str) -> proto::ValueType {
    proto::ValueType {
        r#type: table.string(r#type),
        unit: table.string(unit),
    }
}

/// Process and thread by name and number, and where the process runs.
fn labels(profile: &Profile, sample: &Sample, table: &mut Table<'_>) -> Vec<proto::Label> {
    let process = &profile.processes[sample.process];
    let thread = &profile.threads[sample.thread];
    let mut texts = vec![
        ("process", visible(&process.comm)),
        ("thread", visible(&thread.name)),
    ];
    let place = &process.labels;
    let known = [
        ("cgroup", process.cgroup.as_deref()),
        ("container", process.container.as_deref()),
        ("container_id", place.container.as_deref()),
        ("runtime", place.runtime.map(Runtime::name)),
        ("pod", place.pod.as_deref()),
        ("unit", place.unit.as_deref()),
        ("slice", place.slice.as_deref()),
        ("user", process.user.as_deref()),
    ];
    texts.extend(
        known
            .into_iter()
            .filter_map(|(key, value)| Some((key, visible(value?)))),
    );
    let numbers = [
        ("pid", Some(process.pid)),
        ("tid", Some(thread.tid)),
        ("container_pid", process.container_pid),
    ];
    let mut labels: Vec<_> = texts
        .into_iter()
        .map(|(key, value)| proto::Label {
            key: table.string(key),
            str: table.string(&value),
            ..proto::Label::default()
        })
        .collect();
    let numbers = numbers
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)));
    labels.extend(numbers.map(|(key, value)| proto::Label {
        key: table.string(key),
        num: i64::from(value),
        ..proto::Label::default()
    }));
    labels
}

/// What a reader of the file wants to know of the recording.
fn comments(profile: &Profile) -> Vec<String> {
    let recording = &profile.recording;
    let ledger = &profile.ledger;
    let mut comments = vec![
        recording.command_line.clone(),
        format!(
            "pyprof-ebpf {} on {}, Linux {}, {} CPUs at {} Hz",
            recording.version, recording.host, recording.kernel, recording.cpus, recording.rate_hz
        ),
        format!(
            "{} samples taken, {} delivered, {} lost ({})",
            count(ledger.taken),
            count(ledger.delivered),
            count(ledger.lost_total()),
            percent(ledger.lost_total(), ledger.taken)
        ),
    ];
    comments.extend(
        ledger
            .lost
            .iter()
            .map(|(outcome, &samples)| format!("{} lost: {}", count(samples), outcome.words())),
    );
    comments.extend(budget::sentence(recording));
    comments
        .iter()
        .map(|comment| printable(comment).into_owned())
        .collect()
}

/// pprof's numbers are signed.
fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
