//! A profile whose numbers were worked out by hand, with names that would break formats and readers.

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use profiler::{
    host::labels::Labels,
    output::{self, Format, Options},
    profile::{
        builder::Builder,
        ledger::Ledger,
        memory::Memory,
        model::{Frame, Function, Location, Mark, Process, Profile, Recording, Thread},
    },
};
use profiler_common::outcome::Outcome;

/// What a test returns.
pub type TestResult = Result<(), Box<dyn Error>>;

/// Names as they may come from a profiled process, and as every format shows them.
pub fn hostile_names() -> Vec<(String, String)> {
    let long = "long_name_".repeat(70);
    [
        ("вычислить_расстояние", "вычислить_расстояние"),
        ("计算距离", "计算距离"),
        ("𝒹𝒾𝓈𝓉𝒶𝓃𝒸ℯ🦀", "𝒹𝒾𝓈𝓉𝒶𝓃𝒸ℯ🦀"),
        (&long, &long),
        ("two\nlines 99", r"two\nlines 99"),
        ("semi;colon", "semi;colon"),
        ("'single' \"double\" `back`", "'single' \"double\" `back`"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        (
            "</title></text><script>window.hacked=1</script>",
            "</title></text><script>window.hacked=1</script>",
        ),
        ("\x1b[31mred\x1b[0m\x07", r"\x1b[31mred\x1b[0m\x07"),
        ("\u{202e}desrever", r"\u202edesrever"),
        ("outer.<locals>.<lambda>", "outer.<locals>.<lambda>"),
    ]
    .map(|(name, shown)| (name.to_owned(), shown.to_owned()))
    .into()
}

/// 1,250 samples of 10 ms in two processes, and 50 that were lost:
///
/// | own samples | stack |
/// |---|---|
/// | 100 | `<module>` |
/// | 300 | `<module>`, `Shop.handle` |
/// | 100 | `<module>`, `Shop.handle`, `Shop.handle` |
/// | 200 | `<module>`, `decode`; on a thread of its own |
/// | 25 each, 300 in all | `<module>`, each hostile name |
/// | 250 | in process 2: `[root frames omitted]`, `<module>` |
pub fn profile() -> Profile {
    let mut builder = Builder::new();
    let lost = [(Outcome::RingBufferFull, 50)].into();
    let web = builder.process(process(4321, "web <&>", 1000, lost));
    let job = builder.process(process(77, "job", 250, [].into()));
    let mut thread = |process, tid, name: &str| {
        builder.thread(Thread {
            process,
            tid,
            name: name.into(),
        })
    };
    let main_thread = thread(web, 4321, "MainThread");
    let pool_thread = thread(web, 4322, "pool; 0");
    let job_thread = thread(job, 77, "MainThread");
    let mut frame = |name: &str, file: &str, first_line, line| {
        let function = builder.function(Function {
            name: name.into(),
            file: file.into(),
            first_line,
        });
        Frame::Python(builder.location(Location {
            function,
            line,
            end_line: line,
            column: Some(8),
            end_column: Some(20),
        }))
    };
    let module = frame("<module>", "/srv/shop/app.py", 1, 40);
    let handle = frame("Shop.handle", "/srv/shop/app.py", 10, 12);
    let again = frame("Shop.handle", "/srv/shop/app.py", 10, 14);
    let decode = frame(
        "JSONDecoder.decode",
        "/usr/lib/python3.12/json/decoder.py",
        332,
        337,
    );
    let frames: Vec<_> = (100..)
        .zip(hostile_names())
        .map(|(line, (name, _))| {
            frame(
                &name,
                "/v/lib/python3.12/site-packages/odd/names.py",
                line,
                line,
            )
        })
        .collect();
    let mut add = |thread, frames: &[Frame], samples| {
        let stack = builder.stack(frames.to_vec());
        builder.sample(thread, stack, samples, samples * 10_000_000);
    };
    add(main_thread, &[module], 100);
    add(main_thread, &[module, handle], 300);
    add(main_thread, &[module, handle, again], 100);
    add(pool_thread, &[module, decode], 200);
    for frame in frames {
        add(main_thread, &[module, frame], 25);
    }
    add(job_thread, &[Frame::Mark(Mark::RootLost), module], 250);
    builder.finish(Recording {
        version: "0.1.0".into(),
        command_line: "pyprof-ebpf --all-python -d 10 -o 'a<b>&c.svg'".into(),
        host: "web-1.example".into(),
        kernel: "6.1.0-37-amd64".into(),
        started: UNIX_EPOCH + Duration::from_secs(1_709_208_000),
        duration_ns: 10_000_000_000,
        rate_hz: 100,
        cpus: 2,
        profiler_cpu_ns: 20_000_000,
        profiler_bpf_ns: Some(5_000_000),
        budget: None,
        memory: Memory::default(),
        profiler_rss_peak_bytes: 20 << 20,
    })
}

fn process(pid: u32, comm: &str, delivered: u64, lost: BTreeMap<Outcome, u64>) -> Process {
    Process {
        pid,
        ppid: 1,
        comm: comm.into(),
        command_line: format!("{comm} app.py"),
        python: Some("3.12.1".into()),
        interpreter: Some("/usr/lib/libpython3.12.so.1.0".into()),
        cgroup: Some("/system.slice/web.service".into()),
        container: (pid == 77).then(|| "jobs".into()),
        labels: Labels {
            container: (pid == 77).then(|| "c0ffee".repeat(10)),
            unit: Some("web.service".into()),
            ..Labels::default()
        },
        container_pid: (pid == 77).then_some(1),
        user: Some("www".into()),
        cpu_ns: Some(delivered * 10_000_000),
        refused: None,
        others: 0,
        ledger: Ledger {
            taken: delivered + lost.values().sum::<u64>(),
            delivered,
            lost,
            truncated: 0,
        },
    }
}

/// Writes the profile into a directory and returns the file.
pub fn write(
    directory: &Path,
    format: Format,
    options: &Options,
) -> Result<PathBuf, Box<dyn Error>> {
    let path = directory.join(format!("profile.{}", format.extension()));
    let mut file = BufWriter::new(File::create(&path)?);
    output::write(&profile(), format, options, &mut file)?;
    Ok(path)
}

/// What is there; otherwise, where every tool must be there (`CI` is set), an error, and elsewhere a line that says
/// what the test goes without.
pub fn require<T>(found: Option<T>, what: &str) -> Result<Option<T>, Box<dyn Error>> {
    if found.is_none() {
        let message = format!("{what} is missing: `cargo xtask setup` provides it");
        if env::var_os("CI").is_some() {
            return Err(message.into());
        }
        eprintln!("skipped: {message}");
    }
    Ok(found)
}

/// The first of these commands that is there: a path, or a name on PATH.
pub fn find_command(candidates: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<_> = env::split_paths(&path).collect();
    candidates.iter().find_map(|candidate| {
        directories
            .iter()
            .map(|directory| directory.join(candidate))
            .find(|command| command.is_file())
    })
}
