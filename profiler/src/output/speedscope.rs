//! speedscope's own format, <https://www.speedscope.app/file-format-schema.json>: a profile for each process, or
//! for each thread, the busiest first. Weights are times in ns.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    io::Write,
};

use serde::Serialize;

use crate::profile::model::{self, Mark, Profile};

use super::{Error, Group, Options, frame, text::printable};

#[derive(Serialize)]
struct File<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    exporter: String,
    name: &'a str,
    #[serde(rename = "activeProfileIndex")]
    active_profile_index: usize,
    shared: Shared,
    profiles: Vec<Sampled>,
}

#[derive(Serialize)]
struct Shared {
    frames: Vec<Frame>,
}

#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
struct Frame {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    /// From 1, where CPython counts from 0; in UTF-8 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    col: Option<u32>,
}

#[derive(Serialize)]
struct Sampled {
    r#type: &'static str,
    name: String,
    unit: &'static str,
    #[serde(rename = "startValue")]
    start_value: u64,
    #[serde(rename = "endValue")]
    end_value: u64,
    samples: Vec<Vec<usize>>,
    weights: Vec<u64>,
}

pub(super) fn write(
    profile: &Profile,
    options: &Options,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let name = printable(&profile.recording.command_line);
    let mut frames = Frames::default();
    let profiles = profiles(profile, options, &mut frames);
    let file = File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        exporter: format!("pyprof-ebpf@{}", profile.recording.version),
        name: &name,
        active_profile_index: 0,
        shared: Shared {
            frames: frames.frames,
        },
        profiles,
    };
    serde_json::to_writer(&mut *out, &file)?;
    writeln!(out)?;
    Ok(())
}

fn profiles(profile: &Profile, options: &Options, frames: &mut Frames) -> Vec<Sampled> {
    let by_thread = options.shows_threads();
    // By process and thread: the time of each stack.
    let mut groups: BTreeMap<_, BTreeMap<Vec<usize>, u64>> = BTreeMap::new();
    for sample in &profile.samples {
        let stack = &profile.stacks[sample.stack].frames;
        let mut stack: Vec<_> = stack
            .iter()
            .map(|&frame| frames.index_of(profile, frame, options))
            .collect();
        if stack.is_empty() {
            stack.push(frames.index_of(profile, model::Frame::Mark(Mark::NoFrame), options));
        }
        let group = (sample.process, by_thread.then_some(sample.thread));
        let weight = groups.entry(group).or_default().entry(stack).or_default();
        *weight = weight.saturating_add(sample.weight_ns);
    }
    let mut profiles: Vec<_> = groups
        .into_iter()
        .map(|((process, thread), stacks)| {
            let (samples, weights): (Vec<_>, Vec<_>) = stacks.into_iter().unzip();
            Sampled {
                r#type: "sampled",
                name: name(profile, options, process, thread),
                unit: "nanoseconds",
                start_value: 0,
                end_value: weights.iter().sum(),
                samples,
                weights,
            }
        })
        .collect();
    profiles.sort_by_key(|profile| Reverse(profile.end_value));
    if profiles.is_empty() {
        // speedscope refuses a file without profiles, and can show one without samples.
        profiles.push(Sampled {
            r#type: "sampled",
            name: "no samples".into(),
            unit: "nanoseconds",
            start_value: 0,
            end_value: 0,
            samples: Vec::new(),
            weights: Vec::new(),
        });
    }
    profiles
}

fn name(profile: &Profile, options: &Options, process: usize, thread: Option<usize>) -> String {
    let process = &profile.processes[process];
    let mut parts = Vec::new();
    if options.group_by.contains(&Group::Container) {
        parts.push(frame::container(process));
    }
    parts.push(frame::process(process));
    parts.extend(thread.map(|thread| frame::thread(&profile.threads[thread])));
    parts.join(" · ")
}

/// The frames of the file, each once.
#[derive(Default)]
struct Frames {
    frames: Vec<Frame>,
    of_model: HashMap<model::Frame, usize>,
    of_frame: HashMap<Frame, usize>,
}

impl Frames {
    fn index_of(&mut self, profile: &Profile, frame: model::Frame, options: &Options) -> usize {
        if let Some(&index) = self.of_model.get(&frame) {
            return index;
        }
        let shown = shown(profile, frame, options);
        let index = *self.of_frame.entry(shown).or_insert_with_key(|shown| {
            self.frames.push(shown.clone());
            self.frames.len() - 1
        });
        self.of_model.insert(frame, index);
        index
    }
}

fn shown(profile: &Profile, frame: model::Frame, options: &Options) -> Frame {
    match frame {
        model::Frame::Mark(mark) => Frame {
            name: mark.label(),
            file: None,
            line: None,
            col: None,
        },
        model::Frame::Python(location) => {
            let location = &profile.locations[location];
            let function = &profile.functions[location.function];
            let places = !(options.function_only || options.no_lines);
            Frame {
                name: frame::visible(&function.name),
                file: Some(frame::shown_file(&function.file, options)),
                line: Some(frame::shown_line(profile, location, options)).filter(|&line| line > 0),
                col: location
                    .column
                    .filter(|_| places)
                    .map(|col| col.saturating_add(1)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use crate::{
        output::{
            Format,
            testing::{example, hostile, hostile_names, recording},
        },
        profile::builder::Builder,
    };

    use super::*;

    fn speedscope(profile: &Profile, options: &Options) -> Value {
        let mut out = Vec::new();
        crate::output::write(profile, Format::Speedscope, options, &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    /// Makes sure that each process is a profile, the busiest first, over shared frames with line and column.
    #[test]
    fn a_process_is_a_profile() {
        assert_eq!(
            speedscope(&example(), &Options::default()),
            json!({
                "$schema": "https://www.speedscope.app/file-format-schema.json",
                "exporter": "pyprof-ebpf@0.1.0",
                "name": "pyprof-ebpf --all-python -d 10",
                "activeProfileIndex": 0,
                "shared": {"frames": [
                    {"name": "main", "file": "shop/app.py", "line": 3, "col": 5},
                    {"name": "Shop.handle", "file": "shop/app.py", "line": 12, "col": 5},
                    {"name": "Shop.handle", "file": "shop/app.py", "line": 14, "col": 5},
                    {"name": "decode", "file": "json/decoder.py", "line": 31, "col": 5},
                    {"name": "[root frames omitted]"},
                ]},
                "profiles": [
                    {
                        "type": "sampled", "name": "job (pid 20)", "unit": "nanoseconds",
                        "startValue": 0, "endValue": 1_000_000_000,
                        "samples": [[4, 0]], "weights": [1_000_000_000],
                    },
                    {
                        "type": "sampled", "name": "web (pid 10)", "unit": "nanoseconds",
                        "startValue": 0, "endValue": 900_000_000,
                        "samples": [[0, 1], [0, 1, 2], [0, 3]],
                        "weights": [600_000_000, 200_000_000, 100_000_000],
                    },
                ],
            })
        );
    }

    /// Makes sure that threads are profiles of their own where asked for, and functions frames of their own.
    #[test]
    fn options_are_honoured() {
        let options = Options {
            threads: true,
            function_only: true,
            full_filenames: true,
            group_by: vec![Group::Container],
            ..Options::default()
        };
        let file = speedscope(&example(), &options);
        let names: Vec<_> = (0..3)
            .map(|i| file["profiles"][i]["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "jobs · job (pid 20) · MainThread (tid 20)",
                "[no container] · web (pid 10) · MainThread (tid 10)",
                "[no container] · web (pid 10) · pool-0 (tid 11)",
            ]
        );
        assert_eq!(
            file["shared"]["frames"],
            json!([
                {"name": "main", "file": "/srv/shop/app.py", "line": 1},
                {"name": "Shop.handle", "file": "/srv/shop/app.py", "line": 10},
                {"name": "decode", "file": "/usr/lib/python3.12/json/decoder.py", "line": 30},
                {"name": "[root frames omitted]"},
            ])
        );
    }

    /// Makes sure that a recording without samples still has a profile to show.
    #[test]
    fn nothing_is_a_profile_too() {
        let file = speedscope(&Builder::new().finish(recording()), &Options::default());
        assert_eq!(file["profiles"].as_array().unwrap().len(), 1);
    }

    fn check(names: &[String]) {
        let file = speedscope(&hostile(names), &Options::default());
        let frames = file["shared"]["frames"].as_array().unwrap();
        let profiles = file["profiles"].as_array().unwrap();
        assert_eq!(profiles.len(), names.len());
        for profile in profiles {
            assert_eq!(profile["endValue"], 20_000_000);
            for sample in profile["samples"].as_array().unwrap() {
                for frame in sample.as_array().unwrap() {
                    assert!(frame.as_u64().unwrap() < frames.len() as u64);
                }
            }
        }
        for frame in frames {
            assert!(!frame["name"].as_str().unwrap().contains(char::is_control));
        }
    }

    /// Makes sure that hostile names leave the file readable.
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
}
