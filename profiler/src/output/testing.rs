//! A profile with known numbers and names, for the tests of the formats.

use std::time::{Duration, UNIX_EPOCH};

use profiler_common::outcome::Outcome;

use crate::{
    host::labels::{Labels, Runtime},
    profile::{
        builder::Builder,
        ledger::Ledger,
        memory::Memory,
        model::{Frame, Function, Location, Mark, Process, Profile, Recording, Thread},
    },
};

/// The id of the container `jobs`.
pub(super) const JOBS: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";

/// Names that would break a format that did not escape them.
pub(super) fn hostile_names() -> Vec<String> {
    [
        "функция",
        "函数",
        "𝒻𝓊𝓃🦀",
        "a;b;c",
        "two\nlines 99",
        "f 12 34",
        "# comment",
        "\"'`",
        "<script>alert(1)</script>",
        "]]>&amp;&lt;<!--",
        "\x1b]0;title\x07\x1b[31m",
        "\0",
        "\u{202e}desrever",
        "\u{fdd0}\u{fdd1}\u{ffff}",
        "--",
        "",
        " ",
        "(unbalanced",
    ]
    .map(String::from)
    .into_iter()
    .chain(["long".repeat(175)])
    .collect()
}

/// About a recording that began at 2024-02-29T12:00:00Z and took 10 s.
pub(super) fn recording() -> Recording {
    Recording {
        version: "0.1.0".into(),
        command_line: "pyprof-ebpf --all-python -d 10".into(),
        host: "web-1".into(),
        kernel: "6.1.0".into(),
        started: UNIX_EPOCH + Duration::from_secs(1_709_208_000),
        duration_ns: 10_000_000_000,
        rate_hz: 100,
        cpus: 2,
        profiler_cpu_ns: 20_000_000,
        profiler_bpf_ns: Some(5_000_000),
        budget: None,
        memory: Memory::default(),
        profiler_rss_peak_bytes: 20 << 20,
    }
}

/// A place that spans columns 4 to 9 of a line.
pub(super) fn location(function: usize, line: u32) -> Location {
    Location {
        function,
        line,
        end_line: line,
        column: Some(4),
        end_column: Some(9),
    }
}

/// A process that was profiled, without samples.
pub(super) fn process(pid: u32, comm: &str) -> Process {
    Process {
        pid,
        ppid: 1,
        comm: comm.into(),
        command_line: format!("{comm} app.py"),
        python: Some("3.12.1".into()),
        interpreter: Some("/usr/lib/libpython3.12.so.1.0".into()),
        cgroup: Some("/system.slice/web.service".into()),
        container: None,
        labels: Labels {
            unit: Some("web.service".into()),
            slice: Some("system.slice".into()),
            ..Labels::default()
        },
        container_pid: None,
        user: Some("www".into()),
        cpu_ns: Some(1_000_000_000),
        refused: None,
        others: 0,
        ledger: Ledger::default(),
    }
}

/// Two processes of 1 s each, 100 samples taken of each, and one that was refused.
///
/// `web` (pid 10, threads 10 and 11): 60 samples `main;handle`, 20 `main;handle;handle` (recursion), 10 of thread 11
/// `main;decode`, 10 lost.
/// `job` (pid 20, in container `jobs`, cut): 100 samples `[root frames omitted];main`.
pub(super) fn example() -> Profile {
    let mut builder = Builder::new();
    let web = builder.process(Process {
        ledger: Ledger {
            taken: 100,
            delivered: 90,
            lost: [(Outcome::RingBufferFull, 7), (Outcome::UnknownStack, 3)].into(),
            truncated: 0,
        },
        ..process(10, "web")
    });
    let job = builder.process(Process {
        ledger: Ledger {
            taken: 100,
            delivered: 100,
            lost: [].into(),
            truncated: 100,
        },
        container: Some("jobs".into()),
        labels: Labels {
            container: Some(JOBS.into()),
            runtime: Some(Runtime::Podman),
            pod: Some("2fc932ce-fdcc-454b-97bd-aadfdeb4c340".into()),
            slice: Some("machine.slice".into()),
            unit: None,
        },
        container_pid: Some(1),
        cgroup: Some(format!("/machine.slice/libpod-{JOBS}.scope")),
        python: Some("3.8.18".into()),
        interpreter: Some("/opt/python3.8".into()),
        ..process(20, "job")
    });
    builder.process(Process {
        python: None,
        interpreter: None,
        cpu_ns: None,
        refused: Some("Python 2.7 is not supported".into()),
        ..process(30, "old")
    });
    let mut thread = |process, tid, name: &str| {
        builder.thread(Thread {
            process,
            tid,
            name: name.into(),
        })
    };
    let (web_main, web_pool, job_main) = (
        thread(web, 10, "MainThread"),
        thread(web, 11, "pool-0"),
        thread(job, 20, "MainThread"),
    );
    let mut frame = |name: &str, file: &str, first_line, line| {
        let function = builder.function(Function {
            name: name.into(),
            file: file.into(),
            first_line,
        });
        Frame::Python(builder.location(location(function, line)))
    };
    let main = frame("main", "/srv/shop/app.py", 1, 3);
    let handle = frame("Shop.handle", "/srv/shop/app.py", 10, 12);
    let handle_again = frame("Shop.handle", "/srv/shop/app.py", 10, 14);
    let decode = frame("decode", "/usr/lib/python3.12/json/decoder.py", 30, 31);
    let mut add = |thread, frames: &[Frame], count| {
        let stack = builder.stack(frames.to_vec());
        builder.sample(thread, stack, count, count * 10_000_000);
    };
    add(web_main, &[main, handle], 60);
    add(web_main, &[main, handle, handle_again], 20);
    add(web_pool, &[main, decode], 10);
    add(job_main, &[Frame::Mark(Mark::RootLost), main], 100);
    builder.finish(recording())
}

/// A profile in which each hostile name is that of a process, thread, container, function and file, alone in a
/// stack and under the one before it; 1 sample each.
pub(super) fn hostile(names: &[String]) -> Profile {
    let mut builder = Builder::new();
    let mut above = None;
    for (pid, name) in (1..).zip(names) {
        let process = builder.process(Process {
            command_line: name.clone(),
            container: Some(name.clone()),
            cgroup: Some(name.clone()),
            labels: Labels {
                container: Some(name.clone()),
                runtime: Some(Runtime::Lxc),
                pod: Some(name.clone()),
                unit: Some(name.clone()),
                slice: Some(name.clone()),
            },
            user: Some(name.clone()),
            interpreter: Some(name.clone()),
            ledger: Ledger {
                taken: 2,
                delivered: 2,
                ..Ledger::default()
            },
            ..process(pid, name)
        });
        let thread = builder.thread(Thread {
            process,
            tid: pid,
            name: name.clone(),
        });
        let function = builder.function(Function {
            name: name.as_str().into(),
            file: name.as_str().into(),
            first_line: 1,
        });
        let frame = Frame::Python(builder.location(location(function, pid)));
        let alone = builder.stack(vec![frame]);
        let under = builder.stack(above.into_iter().chain([frame]).collect());
        builder.sample(thread, alone, 1, 10_000_000);
        builder.sample(thread, under, 1, 10_000_000);
        above = Some(frame);
    }
    builder.finish(Recording {
        command_line: names.join(" "),
        ..recording()
    })
}
