//! Filters: what they let pass, what they leave out, and what is said where they match nothing.

#[path = "filters/roots.rs"]
mod roots;

use std::{collections::BTreeSet, fs, path::Path, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use end_to_end::{
    cgroups::{self, Cgroup, version_2},
    check::{
        Failures,
        filtered::{CPU_TOLERANCE, holds_only, sampled_s, weighs_as_accounted},
        is_within,
    },
    containers::{self, Host},
    cpu::Recorder,
    environment::{Turn, skip},
    interpreters::{self, Interpreter, of_host},
    profiler::{Profiler, Run},
    stats::Stats,
    target::Target,
};

use roots::Root;

const RATE_HZ: u32 = 999;
/// Where a process is let pass for parts of its life, each part may be a sample too long or too short.
const PARTS_TOLERANCE: f64 = 0.05;
/// What no filter of these tests names: `nobody` of most systems.
const NOBODY: &str = "65534";

fn busy(interpreter: &Interpreter) -> Result<Target> {
    Target::start(interpreter, "busy.py", ["20"])
}

/// A busy program that is in a cgroup from its first instruction on.
fn busy_in(interpreter: &Interpreter, cgroup: &Cgroup) -> Result<Target> {
    Target::start_in(cgroup, interpreter, "busy.py", ["20"])
}

/// The processes that the ledger has as profiled.
fn profiled(stats: &Stats) -> BTreeSet<u32> {
    let processes = stats.processes.iter();
    processes
        .filter(|process| process.status == "profiled")
        .map(|process| process.pid)
        .collect()
}

/// Makes sure that one run over all interpreters, in several roots and cgroups, gives each cgroup its CPU time; that
/// a filter for the cgroup above three of them takes these and what is made below it meanwhile; and nothing else.
#[test]
fn cgroups_above_and_below() -> Result<()> {
    let (Some(_turn), Some(root)) = (Turn::take(), version_2()) else {
        return Ok(());
    };
    let names = ["inner/a", "inner/b", "inner/b/c", "d", "e", "f"];
    let cgroups = names
        .iter()
        .map(|name| Cgroup::new(&root, &format!("/pyprof-test/{name}")))
        .collect::<Result<Vec<_>>>()?;
    let (overlay, bound) = (Root::overlay()?, Root::bound()?);
    let mut targets = Vec::new();
    for (index, interpreter) in interpreters::required()?.iter().enumerate() {
        let target = match (&interpreter.root, index % 3) {
            (None, 1) => overlay.spawn(interpreter, "busy.py", ["20"])?,
            (None, 2) => bound.spawn(interpreter, "busy.py", ["20"])?,
            _ => Target::spawn(interpreter, "busy.py", ["20"])?,
        };
        let target = target.ready()?;
        let at = index % cgroups.len();
        cgroups[at].add(target.pid())?;
        targets.push((at, target));
    }
    let inner = |at: usize| names[at].starts_with("inner/");
    let directories: Vec<_> = cgroups.iter().map(Cgroup::directory).collect();
    let numbers: Vec<u32> = (0..).take(cgroups.len()).collect();
    let record = || {
        let directories = directories.clone();
        Recorder::reading(&numbers, move |index| {
            cgroups::cpu_s(&directories[index as usize]).ok()
        })
    };
    let mut failures = Failures::new();
    // A cgroup's time includes that of those below it.
    let mut check = |run: &Run, recorder: Recorder, wanted: &dyn Fn(usize) -> bool| -> Result<()> {
        let (stats, recorded) = (run.stats()?, recorder.finish()?);
        for (at, name) in names.iter().enumerate().filter(|(at, _)| wanted(*at)) {
            let below: Vec<&Target> = targets
                .iter()
                .filter(|(of, _)| Path::new(names[*of]).starts_with(name))
                .map(|(_, target)| target)
                .collect();
            let kernel = recorded.between(at as u32, stats.started, stats.ended())?;
            let samples = sampled_s(stats, &below)?;
            println!("{name}: samples {samples:.3} s, kernel {kernel:.3} s");
            failures.require(
                name,
                is_within(samples, kernel, CPU_TOLERANCE),
                format!("samples {samples:.3} s, kernel {kernel:.3} s"),
            );
        }
        Ok(())
    };

    let recorder = record();
    let run = Profiler::of_all(RATE_HZ, "5s").run()?.succeeded()?;
    check(&run, recorder, &|_| true)?;
    let found = profiled(run.stats()?);
    for (_, target) in &targets {
        ensure!(found.contains(&target.pid()), "{} is missing", target.name);
    }

    let recorder = record();
    let mut running = Profiler::new()
        .args(["--cgroup", "/pyprof-test/inner"])
        .sampling(RATE_HZ, "7s")
        .start()?;
    running.until_sampling()?;
    let late = Cgroup::new(&root, "/pyprof-test/inner/late/below")?;
    let newcomer = busy_in(&of_host()?, &late)?;
    let run = running.wait()?.succeeded()?;
    check(&run, recorder, &inner)?;
    let mut wanted: Vec<u32> = targets
        .iter()
        .filter(|(at, _)| inner(*at))
        .map(|(_, target)| target.pid())
        .collect();
    wanted.push(newcomer.pid());
    failures.expect("the filter", holds_only(&run, &wanted));
    failures.finish()
}

/// Makes sure that cgroups of a version 1 controller are known, by their directory and as /proc shows them.
#[test]
fn version_1_controllers() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let Some(root) = cgroups::root(Some("cpuacct")) else {
        skip("no controller of cgroup version 1 is mounted here");
        return Ok(());
    };
    let outer = Cgroup::new(&root, "/pyprof-test")?;
    let inner = Cgroup::new(&root, "/pyprof-test/inner")?;
    let excluded = Cgroup::new(&root, "/pyprof-test/excluded")?;
    let interpreter = of_host()?;
    let inside = busy_in(&interpreter, &inner)?;
    let _excluded = busy_in(&interpreter, &excluded)?;
    let _outside = busy(&interpreter)?;
    let path = outer.directory().to_string_lossy().into_owned();
    let recorder = inner.record();
    let run = Profiler::new()
        .args(["--all-python", "--cgroup", &path])
        .args(["--exclude-cgroup", "/pyprof-test/excluded"])
        .sampling(RATE_HZ, "3s")
        .run()?
        .succeeded()?;
    holds_only(&run, &[inside.pid()])?;
    weighs_as_accounted(&run, recorder, &[&inside])
}

/// Makes sure that a process that moves has in the profile the time that it was where the filter says: no more.
#[test]
fn processes_that_move() -> Result<()> {
    let (Some(_turn), Some(root)) = (Turn::take(), version_2()) else {
        return Ok(());
    };
    let cgroup = Cgroup::new(&root, "/pyprof-test/moved-into")?;
    let target = busy(&of_host()?)?;
    let mut running = Profiler::new()
        .args(["--cgroup", &cgroup.path, "-r", &RATE_HZ.to_string()])
        .start()?;
    running.until_sampling()?;
    for _ in 0..2 {
        cgroup.add(target.pid())?;
        thread::sleep(Duration::from_millis(800));
        cgroup.expel(target.pid())?;
        thread::sleep(Duration::from_millis(500));
    }
    let run = running.interrupted()?;
    holds_only(&run, &[target.pid()])?;
    parts_agree(run.stats()?, &target, cgroup.cpu_s()?)
}

/// Makes sure that the time of a process, of which parts were wanted, is that of these parts.
fn parts_agree(stats: &Stats, target: &Target, truth: f64) -> Result<()> {
    let process = stats.process(target.pid())?;
    let cpu = process.cpu_s.context("no CPU time")?;
    println!("samples {:.3} s, truth {truth:.3} s", process.sampled_s);
    ensure!(
        is_within(process.sampled_s, truth, PARTS_TOLERANCE)
            && is_within(cpu, truth, PARTS_TOLERANCE),
        "samples {:.3} s, ledger {cpu:.3} s, truth {truth:.3} s",
        process.sampled_s
    );
    Ok(())
}

/// Makes sure that a process that changes its user is let pass as that user alone, and one that changes its name
/// under that name.
#[test]
fn users_and_names() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let interpreter = of_host()?;
    for (change, but, arguments, function) in [
        (
            format!("user={NOBODY}:1.5"),
            "comm=other-name:0".to_owned(),
            ["--user", NOBODY, "--exclude-comm", "other-*"],
            "as_user",
        ),
        (
            "comm=shop-worker-1:1.5".into(),
            format!("user={NOBODY}:0"),
            ["--comm", "sh?p-w*1", "--exclude-user", NOBODY],
            "under_name",
        ),
    ] {
        let mut changing = Target::start(&interpreter, "phases.py", ["1", change.as_str()])?;
        let mut other = Target::start(&interpreter, "phases.py", [&but, &change])?;
        let mut running = Profiler::new()
            .args(arguments)
            .args(["-r", &RATE_HZ.to_string()])
            .start()?;
        running.until_sampling()?;
        other.tell("go")?;
        changing.tell("go")?;
        let spent = changing.said("done")?;
        let run = running.interrupted()?;
        holds_only(&run, &[changing.pid()])?;
        let profile = run.collapsed()?;
        let inside = profile.share_under(function);
        ensure!(inside > 0.98, "only {inside} in {function}: {profile:?}");
        parts_agree(
            run.stats()?,
            &changing,
            spent[function].as_f64().context("no CPU time")?,
        )?;
    }
    Ok(())
}

/// Makes sure that units, containers and processes add up, as they are and as they come, and that what is excluded is
/// out. Both are told by the names of cgroups, as systemd and Docker give them.
#[test]
fn units_and_containers() -> Result<()> {
    let (Some(_turn), Some(root)) = (Turn::take(), version_2()) else {
        return Ok(());
    };
    let id = "feed5eed0123456789abcdef0123456789abcdef0123456789abcdef01234567";
    let below = |path: &str| Cgroup::new(&root, &format!("/system.slice/{path}"));
    let unit = below("pyprof-shop.service")?;
    let worker = below("pyprof-shop.service/worker")?;
    let secret = below("pyprof-shop.service/secret")?;
    let other = below("pyprof-other.service")?;
    let interpreter = of_host()?;
    let in_unit = busy_in(&interpreter, &worker)?;
    let _in_secret = busy_in(&interpreter, &secret)?;
    let named = busy_in(&interpreter, &other)?;
    let _other = busy_in(&interpreter, &other)?;
    let mut running = Profiler::new()
        .args(["--unit", "pyprof-shop", "--unit", "pyprof-l?te.service"])
        .args(["--container", &id[..12], "-p", &named.pid().to_string()])
        .args(["--exclude-cgroup", &secret.path, "-r", &RATE_HZ.to_string()])
        .start()?;
    running.until_sampling()?;
    let container = below(&format!("docker-{id}.scope"))?;
    let late = below("pyprof-late.service")?;
    let in_container = busy_in(&interpreter, &container)?;
    let in_late = busy_in(&interpreter, &late)?;
    thread::sleep(Duration::from_secs(1));
    let run = running.interrupted()?;
    holds_only(
        &run,
        &[&in_unit, &named, &in_container, &in_late].map(Target::pid),
    )?;
    for waited in ["pyprof-l?te.service", &id[..12]] {
        ensure!(run.stderr.contains(waited), "{waited}: {}", run.stderr);
    }
    ensure!(!run.stderr.contains("nothing matched"), "{}", run.stderr);
    drop(unit);
    Ok(())
}

/// Makes sure that a container is let pass by its name, its id and its cgroup, and one that comes later by its name.
#[test]
fn containers_by_name_id_and_cgroup() -> Result<()> {
    let (Some(_turn), Some(python)) = (Turn::take(), containers::interpreter()?) else {
        return Ok(());
    };
    let mut host = Host::find(&python);
    let web = host.start("pyprof-web", &python, "busy.py", &["5"])?;
    let _outside = busy(&of_host()?)?;
    let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", web.pid))?;
    let cgroup = cgroup
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2))
        .find(|path| path.contains(&web.id))
        .context("no cgroup of the container's")?;
    for arguments in [["--container", &web.id[..8]], ["--cgroup", cgroup]] {
        let run = Profiler::new()
            .args(arguments)
            .sampling(RATE_HZ, "1s")
            .run()?
            .succeeded()?;
        holds_only(&run, &[web.pid])?;
    }
    let mut running = Profiler::new()
        .args(["--container", web.called(), "--container", "pyprof-l[a]te*"])
        .args(["-r", &RATE_HZ.to_string()])
        .start()?;
    running.until_sampling()?;
    let late = host.start("pyprof-later", &python, "busy.py", &["5"])?;
    thread::sleep(Duration::from_secs(2));
    let run = running.interrupted()?;
    let mut wanted = vec![web.pid];
    // Made by hand it has no name that anybody would tell.
    wanted.extend(late.name.is_some().then_some(late.pid));
    holds_only(&run, &wanted)?;
    host.end(late)?;
    host.end(web)
}

/// Makes sure that a filter that matches nothing says so, names what is near, and has an exit status of its own.
#[test]
fn nothing_matches() -> Result<()> {
    let (Some(_turn), Some(root)) = (Turn::take(), version_2()) else {
        return Ok(());
    };
    let cgroup = Cgroup::new(&root, "/system.slice/pyprof-shop.service")?;
    let _busy = busy_in(&of_host()?, &cgroup)?;
    for (arguments, words) in [
        (
            &["--unit", "pyprof-shpo"][..],
            &["--unit pyprof-shpo", "pyprof-shop.service"][..],
        ),
        (
            &["--cgroup", "/system.slice/pyprof-shop"],
            &[
                "--cgroup /system.slice/pyprof-shop;",
                "/system.slice/pyprof-shop.service",
            ],
        ),
        (&["--user", "roott"], &["no user roott", "root"]),
        (&["--user", NOBODY], &["--user 65534", "root"]),
        (&["--comm", "pythno*"], &["--comm pythno*", "python"]),
        (
            &[
                "--cgroup",
                &cgroup.path,
                "--comm",
                "*",
                "--exclude-user",
                "root",
            ],
            &["no Python process matched", "--exclude-user root"],
        ),
    ] {
        let run = Profiler::new()
            .args(arguments)
            .args(["-d", "200ms"])
            .run()?;
        ensure!(
            run.status.code() == Some(4),
            "{arguments:?}: {}\n{}",
            run.status,
            run.stderr
        );
        let last = run.stderr.lines().last().unwrap_or_default();
        for word in words {
            ensure!(
                last.contains(word),
                "{arguments:?}: no {word} in\n{}",
                run.stderr
            );
        }
    }
    Ok(())
}
