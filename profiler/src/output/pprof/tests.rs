//! Tests of whole pprof files, unpacked and decoded again. That pprof itself reads them is an end-to-end test.

use std::{collections::BTreeSet, io::Read};

use flate2::read::GzDecoder;
use proptest::prelude::*;
use prost::Message;

use super::proto;
use crate::{
    output::{
        Format, Options,
        testing::{JOBS, example, hostile, hostile_names},
    },
    profile::model::Profile,
};

fn pprof(profile: &Profile, options: &Options) -> proto::Profile {
    let mut out = Vec::new();
    crate::output::write(profile, Format::Pprof, options, &mut out).unwrap();
    let mut message = Vec::new();
    GzDecoder::new(out.as_slice())
        .read_to_end(&mut message)
        .unwrap();
    proto::Profile::decode(message.as_slice()).unwrap()
}

fn string(profile: &proto::Profile, index: i64) -> &str {
    &profile.string_table[usize::try_from(index).unwrap()]
}

/// A sample as text: its stack leaf first, values, labels.
fn sample_text(
    profile: &proto::Profile,
    sample: &proto::Sample,
) -> (Vec<String>, Vec<i64>, Vec<String>) {
    let stack = sample.location_id.iter().map(|&id| {
        let location = &profile.location[usize::try_from(id - 1).unwrap()];
        assert_eq!(location.id, id);
        let line = location.line[0];
        let function = &profile.function[usize::try_from(line.function_id - 1).unwrap()];
        format!(
            "{} {}:{}:{} from {}",
            string(profile, function.name),
            string(profile, function.filename),
            line.line,
            line.column,
            function.start_line
        )
    });
    let labels = sample.label.iter().map(|label| {
        let key = string(profile, label.key);
        match label.str {
            0 => format!("{key}={}", label.num),
            text => format!("{key}={}", string(profile, text)),
        }
    });
    (stack.collect(), sample.value.clone(), labels.collect())
}

/// Makes sure that a file holds stacks, values, labels and what is known of the recording.
#[test]
fn samples_have_stacks_values_and_labels() {
    let file = pprof(&example(), &Options::default());
    let samples: Vec<_> = file
        .sample
        .iter()
        .map(|sample| sample_text(&file, sample))
        .collect();
    let strings = |texts: &[&str]| {
        texts
            .iter()
            .map(|&text| text.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(samples.len(), 4);
    assert_eq!(
        samples[1],
        (
            strings(&[
                "Shop.handle /srv/shop/app.py:14:5 from 10",
                "Shop.handle /srv/shop/app.py:12:5 from 10",
                "main /srv/shop/app.py:3:5 from 1",
            ]),
            vec![20, 200_000_000],
            strings(&[
                "process=web",
                "thread=MainThread",
                "cgroup=/system.slice/web.service",
                "unit=web.service",
                "slice=system.slice",
                "user=www",
                "pid=10",
                "tid=10",
            ])
        )
    );
    assert_eq!(
        samples[3],
        (
            strings(&[
                "main /srv/shop/app.py:3:5 from 1",
                "[root frames omitted] :0:0 from 0"
            ]),
            vec![100, 1_000_000_000],
            strings(&[
                "process=job",
                "thread=MainThread",
                &format!("cgroup=/machine.slice/libpod-{JOBS}.scope"),
                "container=jobs",
                &format!("container_id={JOBS}"),
                "runtime=podman",
                "pod=2fc932ce-fdcc-454b-97bd-aadfdeb4c340",
                "slice=machine.slice",
                "user=www",
                "pid=20",
                "tid=20",
                "container_pid=1",
            ])
        )
    );
    let types: Vec<_> = file
        .sample_type
        .iter()
        .chain(&file.period_type)
        .map(|t| (string(&file, t.r#type), string(&file, t.unit)))
        .collect();
    assert_eq!(
        types,
        [
            ("samples", "count"),
            ("cpu", "nanoseconds"),
            ("cpu", "nanoseconds")
        ]
    );
    assert_eq!(string(&file, file.default_sample_type), "cpu");
    assert_eq!(
        (file.period, file.duration_nanos),
        (10_000_000, 10_000_000_000)
    );
    assert_eq!(file.time_nanos, 1_709_208_000_000_000_000);
    let mappings: Vec<_> = file
        .mapping
        .iter()
        .map(|m| string(&file, m.filename))
        .collect();
    assert_eq!(
        mappings,
        ["/usr/lib/libpython3.12.so.1.0", "/opt/python3.8"]
    );
    let comments: Vec<_> = file.comment.iter().map(|&c| string(&file, c)).collect();
    assert_eq!(
        comments,
        [
            "pyprof-ebpf --all-python -d 10",
            "pyprof-ebpf 0.1.0 on web-1, Linux 6.1.0, 2 CPUs at 100 Hz",
            "200 samples taken, 190 delivered, 10 lost (5.0 %)",
            "7 lost: the ring buffer was full",
            "3 lost: its stack was not known",
        ]
    );
}

/// Makes sure that places become their function's first line, or none, where the user wants functions.
#[test]
fn options_choose_lines() {
    for (options, expected) in [
        (
            Options {
                function_only: true,
                ..Options::default()
            },
            "Shop.handle /srv/shop/app.py:10:0 from 10",
        ),
        (
            Options {
                no_lines: true,
                ..Options::default()
            },
            "Shop.handle /srv/shop/app.py:0:0 from 10",
        ),
    ] {
        let file = pprof(&example(), &options);
        let (stack, ..) = sample_text(&file, &file.sample[1]);
        assert_eq!(stack[..2], [expected, expected]);
    }
}

/// Checks what pprof's `Profile.CheckValid` asks of a file.
fn check(names: &[String]) {
    let file = pprof(&hostile(names), &Options::default());
    assert_eq!(file.string_table[0], "");
    let unique: BTreeSet<_> = file.string_table.iter().collect();
    assert_eq!(unique.len(), file.string_table.len());
    for function in &file.function {
        assert_ne!(function.name, function.system_name);
    }
    for text in &file.string_table {
        assert!(!text.contains(char::is_control), "{text:?}");
    }
    assert_eq!(file.sample.len(), 2 * names.len() - 1);
    for sample in &file.sample {
        assert_eq!(sample.value.len(), file.sample_type.len());
        let (stack, _, labels) = sample_text(&file, sample);
        assert!((1..=2).contains(&stack.len()));
        assert_eq!(labels.len(), 12);
        for id in &sample.location_id {
            let location = &file.location[usize::try_from(id - 1).unwrap()];
            assert!(location.mapping_id <= file.mapping.len() as u64);
        }
    }
}

/// Makes sure that hostile names leave the file valid.
#[test]
fn hostile_names_are_only_strings() {
    check(&hostile_names());
}

proptest! {
    /// Makes sure of the same for any names.
    #[test]
    fn any_names_are_only_strings(names in prop::collection::vec(any::<String>(), 1..5)) {
        check(&names);
    }
}
