//! Containers: found, labelled, and seen from the host as they are.

use std::{fs, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use end_to_end::{
    cgroups::{self, Cgroup},
    check::Failures,
    collapsed::Collapsed,
    containers::{self, ByHand, Container, Host},
    environment::{Turn, skip},
    interpreters::{Interpreter, of_host},
    profiler::Profiler,
    stats::{Process, Stats},
    target::Target,
};

const RATE_HZ: u32 = 499;
const SLEEPERS: u32 = 20;

/// The interpreter for containers; None where there is none, which is then said.
fn interpreter() -> Result<Option<Interpreter>> {
    let found = containers::interpreter()?;
    if found.is_none() {
        skip("no interpreter with a root file system of its own: cargo xtask setup");
    }
    Ok(found)
}

/// Checks what the ledger says of a container's process against what the container's own side says of it.
fn check_entry<'a>(stats: &'a Stats, container: &Container) -> Result<&'a Process> {
    let entry = stats.process(container.pid)?;
    ensure!(entry.status == "profiled", "{}", entry.status);
    let python: String = container.target.fact("python")?;
    let pid: u32 = container.target.fact("pid")?;
    let labels = [
        ("python", entry.python.clone(), python),
        (
            "container",
            entry.container.clone(),
            container.called().to_owned(),
        ),
        (
            "container_id",
            entry.container_id.clone(),
            container.id.clone(),
        ),
        ("runtime", entry.runtime.clone(), container.runtime.into()),
        (
            "container_pid",
            entry.container_pid.map(|pid| pid.to_string()),
            pid.to_string(),
        ),
        (
            "interpreter",
            entry.interpreter.clone(),
            "/usr/bin/python3.14".into(),
        ),
    ];
    for (label, is, should) in labels {
        ensure!(
            is.as_ref() == Some(&should),
            "{label} is {is:?} and not {should}"
        );
    }
    let cgroup = entry.cgroup.as_deref().context("no cgroup")?;
    ensure!(cgroup.contains(&container.id), "cgroup {cgroup}");
    Ok(entry)
}

/// Thread ids of a process on the host.
fn tids(pid: u32) -> Result<Vec<u32>> {
    fs::read_dir(format!("/proc/{pid}/task"))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().parse()?))
        .collect()
}

/// Makes sure that a container among processes of the host is found by content and labelled, that host ids are
/// shown for processes and threads, and that its threads that sleep get no samples.
#[test]
fn a_container_is_found_and_labelled() -> Result<()> {
    let (Some(_turn), Some(python)) = (Turn::take(), interpreter()?) else {
        return Ok(());
    };
    let mut host = Host::find(&python);
    let sleepers = SLEEPERS.to_string();
    let contained = host.start("pyprof-shop", &python, "sleepers.py", &[&sleepers])?;
    let beside = Target::start(&of_host()?, "busy.py", ["5"])?;

    let run = Profiler::of_all(RATE_HZ, "4s")
        .args(["--group-by", "container,process,thread"])
        .run()?
        .succeeded()?;
    let mut failures = Failures::new();
    failures.expect("ledger", check_entry(run.stats()?, &contained));
    failures.expect("samples", check_samples(&run.collapsed()?, &contained));
    let outside = run.collapsed()?.of_process(beside.pid());
    failures.require(
        "a process of the host",
        outside.samples() > 0
            && outside
                .stacks
                .iter()
                .all(|stack| stack.container.as_deref() == Some("[no container]")),
        format!("{:?}", outside.stacks.first()),
    );

    let run = Profiler::of_all(RATE_HZ, "1s")
        .args(["--group-by", "container"])
        .format("flamegraph")
        .run()?
        .succeeded()?;
    let svg = String::from_utf8(run.output()?)?;
    for group in [contained.called(), "[no container]"] {
        failures.require(
            "flame graph",
            svg.contains(&format!("<title>{group} (")),
            format!("has no {group}"),
        );
    }
    failures.require(
        "summary",
        run.stderr.contains(contained.called()),
        &run.stderr,
    );
    failures.finish()
}

fn check_samples(profile: &Collapsed, container: &Container) -> Result<()> {
    let threads: u32 = container.target.fact("threads")?;
    ensure!(threads == SLEEPERS, "{threads} threads sleep");
    let tids = tids(container.pid)?;
    ensure!(
        tids.len() == 1 + SLEEPERS as usize,
        "the host sees {} threads",
        tids.len()
    );
    let own = profile.of_process(container.pid);
    ensure!(own.samples() > 0, "none");
    for stack in &own.stacks {
        let group = stack.container.as_deref();
        ensure!(group == Some(container.called()), "under {group:?}");
        let thread = stack.thread.as_ref().context("no thread")?;
        // The main thread's id is the process's.
        ensure!(
            thread.id == container.pid && thread.name == "MainThread",
            "{} of {thread:?}: {:?}",
            stack.count,
            stack.frames
        );
    }
    ensure!(
        own.share_under("busy_main") > 0.99,
        "busy_main has {} of them",
        own.share_under("busy_main")
    );
    Ok(())
}

/// Makes sure that a container that comes and is removed while recording keeps its name and its samples.
#[test]
fn a_label_outlives_its_container() -> Result<()> {
    let (Some(_turn), Some(python)) = (Turn::take(), interpreter()?) else {
        return Ok(());
    };
    let mut host = Host::find(&python);
    let mut running = Profiler::of_all(RATE_HZ, "60s")
        .args(["--group-by", "container,process"])
        .start()?;
    running.until_sampling()?;
    let container = host.start("pyprof-brief", &python, "busy.py", &["5"])?;
    thread::sleep(Duration::from_secs(2));
    let (called, pid) = (container.called().to_owned(), container.pid);
    host.end(container)?;
    ensure!(!fs::exists(format!("/proc/{pid}"))?, "it still runs");
    thread::sleep(Duration::from_secs(1));
    let run = running.interrupted()?;
    let entry = run.stats()?.process(pid)?;
    ensure!(
        entry.container.as_deref() == Some(&*called),
        "{:?} is not {called}",
        entry.container
    );
    ensure!(entry.samples.delivered > 0, "no samples");
    let own = run.collapsed()?.of_process(pid);
    ensure!(
        own.samples_where(|stack| stack.container.as_deref() == Some(&*called)) == own.samples(),
        "samples outside of {called}"
    );
    Ok(())
}

/// Makes sure that processes in user, PID (one inside the other), mount and cgroup namespaces of their own are
/// known with ids of the host, thread names and labels; also by a profiler that is in a cgroup namespace itself.
#[test]
fn namespaces_inside_namespaces() -> Result<()> {
    let (Some(_turn), Some(python)) = (Turn::take(), interpreter()?) else {
        return Ok(());
    };
    let mut by_hand = ByHand::default();
    let container = by_hand.start("nested", &python, "threads_named.py", &[])?;
    // Its root is a sibling of the container's cgroup, which it sees as `/../../docker/ID`.
    let own = Cgroup::new(&cgroups::any_root()?, "/pyprof-ebpf-tests/profiler")?;
    let mut failures = Failures::new();
    for inside in [false, true] {
        let mut profiler =
            Profiler::of_all(RATE_HZ, "3s").args(["-t", "--group-by", "container,process,thread"]);
        if inside {
            let namespace = ["unshare".to_owned(), "--cgroup".to_owned()];
            profiler = profiler.under(own.enter().into_iter().chain(namespace));
        }
        let run = profiler.run()?.succeeded()?;
        let of = if inside {
            "from a namespace"
        } else {
            "from the host"
        };
        if let Some(entry) = failures.expect(of, check_entry(run.stats()?, &container)) {
            let cgroup = entry.cgroup.clone().unwrap_or_default();
            failures.require(of, cgroup.starts_with("/../") == inside, &cgroup);
            failures.require(
                of,
                entry.container_pid == Some(1),
                "is not the first process",
            );
        }
        failures.expect(of, check_threads(&run.collapsed()?, &container));
    }
    failures.finish()
}

fn check_threads(profile: &Collapsed, container: &Container) -> Result<()> {
    let mut wanted: Vec<String> = container.target.fact("names")?;
    wanted.sort();
    let tids = tids(container.pid)?;
    let mut seen = Vec::new();
    for stack in &profile.of_process(container.pid).stacks {
        let thread = stack.thread.as_ref().context("no thread")?;
        ensure!(tids.contains(&thread.id), "{thread:?} is not on the host");
        if let Some(work) = stack.names().find_map(|name| name.strip_prefix("work_")) {
            ensure!(work == thread.name, "work_{work} is under {thread:?}");
            seen.push(work.to_owned());
        }
    }
    seen.sort();
    seen.dedup();
    ensure!(seen == wanted, "only {seen:?} of {wanted:?} have samples");
    Ok(())
}
