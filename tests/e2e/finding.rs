//! Interpreters are found by what they are: under any name, inside any program, however late they are loaded; and
//! what is no interpreter is left alone.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use end_to_end::{
    check::Failures,
    collapsed::Stack,
    embedding::{self, Embeddable, Link},
    environment::{self, Turn},
    held::{self, Killed},
    interpreters,
    profiler::Profiler,
    target::Target,
};
use tempfile::TempDir;

const RATE_HZ: u32 = 999;
/// CPU time for which each is profiled, in seconds.
const ENOUGH_S: f64 = 0.6;
/// The program that all of these run: its stacks are known.
const PROGRAM: &str = "alternating.py";

fn program() -> PathBuf {
    environment::programs().join(PROGRAM)
}

/// Starts a command that runs the program, and waits until it is ready.
fn start(name: &str, command: &mut Command) -> Result<Target> {
    Target::of(command.env("PYTHONDONTWRITEBYTECODE", "1"), name)?.ready()
}

fn copy(from: &Path, directory: &Path, name: &str) -> Result<PathBuf> {
    let to = directory.join(name);
    fs::copy(from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(to)
}

/// A static interpreter under another name, and one whose file is gone.
fn under_other_names(directory: &Path, targets: &mut Vec<Target>) -> Result<()> {
    let debian = interpreters::named("debian-3.11")?;
    let renamed = copy(&debian.executable, directory, "accounting")?;
    targets.push(start(
        "a renamed interpreter",
        Command::new(renamed).arg(program()),
    )?);
    let deleted = copy(&debian.executable, directory, "deleted")?;
    targets.push(start(
        "a deleted interpreter",
        Command::new(&deleted).arg(program()),
    )?);
    fs::remove_file(deleted)?;
    Ok(())
}

/// A library without symbol table, one that was replaced while it is in use, and an interpreter in an overlay.
fn in_other_files(directory: &Path, targets: &mut Vec<Target>) -> Result<()> {
    let python = Embeddable::find("3.12.1")?;
    for (name, is_replaced) in [("stripped", false), ("replaced", true)] {
        let libraries = directory.join(name);
        fs::create_dir(&libraries)?;
        let library = copy(&python.library(), &libraries, "libpython3.12.so.1.0")?;
        embedding::strip(&library)?;
        let mut command = python.interpreter.command();
        command.arg(program()).env("LD_LIBRARY_PATH", &libraries);
        targets.push(start(&format!("a {name} library"), &mut command)?);
        if is_replaced {
            let other = libraries.join("other");
            fs::write(&other, "an update\n")?;
            fs::rename(other, library)?;
        }
    }
    let forky = interpreters::named("forky-3.14")?;
    let root = forky
        .root
        .as_ref()
        .context("an interpreter without a root")?;
    let inside = forky.provide(&environment::programs())?;
    let script = format!(
        "set -e; cd {layers}; mount -t tmpfs none .; mkdir upper work merged; \
         mount -t overlay none -o lowerdir={root},upperdir=upper,workdir=work merged; \
         exec chroot merged {python} {program}",
        layers = directory.display(),
        root = root.display(),
        python = forky.executable.display(),
        program = inside.join(PROGRAM).display(),
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]);
    targets.push(start("an interpreter in an overlay", &mut command)?);
    Ok(())
}

/// Programs with an interpreter inside. The last one says nothing of where it is.
fn embedded(directory: &Path, targets: &mut Vec<Target>) -> Result<Target> {
    let python = Embeddable::find("3.12.1")?;
    let newer = Embeddable::find("3.13.0")?;
    let launch = |python: &Embeddable, how: Link, is_stripped: bool, name: &str| {
        let file = python.link(how, directory, &name.replace(' ', "-"))?;
        if is_stripped {
            embedding::strip(&file)?;
        }
        start(name, python.embedded(&file).arg(program()))
    };
    targets.push(launch(
        &python,
        Link::Shared,
        true,
        "embedding a shared library",
    )?);
    targets.push(launch(
        &python,
        Link::Exported,
        true,
        "embedding an archive",
    )?);
    targets.push(launch(
        &python,
        Link::Hidden,
        false,
        "embedding with a symbol table",
    )?);
    targets.push(launch(
        &newer,
        Link::Hidden,
        true,
        "embedding without symbols",
    )?);
    let application = interpreters::cache_directory().join("frozen/application");
    if application.exists() {
        targets.push(start(
            "a frozen application",
            Command::new(application).arg(program()),
        )?);
    } else {
        environment::skip("there is no frozen application: cargo xtask setup");
    }
    launch(&python, Link::Hidden, true, "embedding without any trace")
}

/// Makes sure that interpreters are profiled whatever file holds them and whatever became of the file, with
/// stacks and CPU time that are right, and that the one kind that cannot be found is refused with the reason.
#[test]
fn by_content() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let directory = TempDir::new()?;
    let overlay = TempDir::new()?;
    let mut targets = Vec::new();
    under_other_names(directory.path(), &mut targets)?;
    in_other_files(overlay.path(), &mut targets)?;
    let untraceable = embedded(directory.path(), &mut targets)?;
    let pids = targets.iter().map(runner).collect::<Result<Vec<u32>>>()?;
    let _children = Killed(pids.clone());
    let held = held::record(&pids, Profiler::of_all(RATE_HZ, "60s"), || {
        held::until_each_has_used(&pids, ENOUGH_S)
    })?;
    let mut failures = Failures::new();
    for (target, &pid) in targets.iter().zip(&pids) {
        let paths: Vec<Vec<String>> = target.fact("paths")?;
        failures.expect(&target.name, held.check_paths(pid, &paths));
        failures.expect(&target.name, held.check_cpu_time(pid));
    }
    let refused = held.stats()?.process(untraceable.pid())?;
    failures.require(
        &untraceable.name,
        refused.status.contains("-rdynamic"),
        &refused.status,
    );
    failures.finish()
}

/// The process that runs the program: what PyInstaller makes does so in a child.
fn runner(target: &Target) -> Result<u32> {
    let said: u32 = target.fact("pid")?;
    let stat = fs::read_to_string(format!("/proc/{said}/stat"))?;
    let parent = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.split(' ').nth(1))
        .context("no parent")?;
    ensure!(
        said == target.pid() || parent == target.pid().to_string(),
        "{} runs in {said}, a child of {parent}",
        target.name
    );
    Ok(said)
}

/// Makes sure that a libpython which a program opens long after its start is found, that of two in a process the
/// one that is used is profiled, and that where both are used the ledger says which one is not.
#[test]
fn loaded_late() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let directory = TempDir::new()?;
    let host = embedding::compile("host.c", directory.path())?;
    let python = Embeddable::find("3.12.1")?;
    let older = Embeddable::find("3.11.7")?;
    let twin = copy(&python.library(), directory.path(), "twin.so")?;
    let run = format!("run:{}", python.library().display());
    let steps = [
        ("late", vec!["wait".to_owned(), "work:0.5".to_owned()]),
        (
            "beside one that is not used",
            vec![
                format!("load:{}", older.library().display()),
                "wait".to_owned(),
                "work:0.3".to_owned(),
            ],
        ),
        (
            "beside one that is used",
            vec!["wait".to_owned(), format!("start:{}", twin.display())],
        ),
    ];
    let mut targets = Vec::new();
    for (name, steps) in &steps {
        let mut command = python.embedded(&host);
        command.args(steps).arg(&run).arg("--").arg(program());
        let target = Target::of(&mut command, name)?;
        target.said("waiting")?;
        targets.push(target);
    }
    let pids: Vec<u32> = targets.iter().map(Target::pid).collect();
    let mut loaded = Vec::new();
    let held = held::record(&pids, Profiler::of_all(RATE_HZ, "60s"), || {
        for target in &mut targets {
            target.tell("go")?;
        }
        for target in &mut targets {
            loaded.push(
                target.said("loaded")?["cpu_s"]
                    .as_f64()
                    .context("no CPU time")?,
            );
            target.facts = target.said("ready")?;
        }
        held::until_each_has_used(&pids, 1.5)
    })?;
    let mut failures = Failures::new();
    for (target, loaded) in targets.iter().zip(loaded).take(2) {
        failures.expect(&target.name, is_profiled_since(&held, target, loaded));
    }
    let both = &targets[2];
    let listed = held
        .stats()?
        .processes
        .iter()
        .any(|entry| entry.pid == both.pid() && entry.status.contains("two interpreters"));
    failures.require(&both.name, listed, "the second is not in the ledger");
    failures.finish()
}

fn is_profiled_since(held: &held::Held, target: &Target, loaded: f64) -> Result<()> {
    let entry = held.stats()?.process(target.pid())?;
    ensure!(entry.status == "profiled", "{}", entry.status);
    let python: String = target.fact("python")?;
    ensure!(
        entry.python.as_deref() == Some(&*python),
        "{:?}",
        entry.python
    );
    let since = held.cpu[&target.pid()] - loaded;
    let seen = entry.sampled_s;
    ensure!(
        (0.93 * since..1.02 * since).contains(&seen),
        "{seen:.3} s were seen of {since:.3} s since the library was loaded"
    );
    // The interpreter's own start has other stacks.
    let mut profile = held.profile_of(target.pid());
    let is_program = |stack: &Stack| {
        let is_own = |file: &str| file.ends_with(PROGRAM);
        let mut frames = stack.frames.iter().filter(|frame| frame.name == "main");
        frames.any(|frame| frame.file.as_deref().is_some_and(is_own))
    };
    profile.stacks.retain(is_program);
    let paths: Vec<Vec<String>> = target.fact("paths")?;
    held::check_paths(&profile, &paths)
}

/// Makes sure that programs which are no Python are not in the ledger and not spoken of, whether they sleep, start
/// others all the time, or map new code all the time.
#[test]
fn other_programs() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let directory = TempDir::new()?;
    let code = embedding::compile("maps_code.c", directory.path())?;
    let mut others = Vec::new();
    for (name, words) in [
        ("sleep", vec!["sleep", "600"]),
        ("shell", vec!["sh", "-c", "while :; do /bin/true; done"]),
        (
            "pipe",
            vec![
                "sh",
                "-c",
                "while :; do echo a line | cat > /dev/null; done",
            ],
        ),
        ("code", vec![code.to_str().context("a strange path")?]),
        (
            "node",
            vec![
                "node",
                "-e",
                "for (;;) { new Function('return ' + Math.random())() }",
            ],
        ),
    ] {
        others.push(Target::of(Command::new(words[0]).args(&words[1..]), name)?);
    }
    let python = interpreters::named("debian-3.11")?;
    let busy = Target::start(&python, "busy.py", ["5"])?;
    let run = Profiler::of_all(RATE_HZ, "4s").run()?.succeeded()?;
    let mut failures = Failures::new();
    for target in &others {
        ensure!(target.runs()?, "{} does not run", target.name);
        let spoken_of = run.stderr.contains(&target.pid().to_string());
        failures.require(&target.name, !spoken_of, &run.stderr);
    }
    let stats = run.stats()?;
    // Other Python processes of this host are no concern of this test.
    let strange: Vec<_> = stats
        .processes
        .iter()
        .filter(|entry| {
            others
                .iter()
                .any(|one| one.pid() == entry.pid || one.pid() == entry.ppid)
        })
        .collect();
    failures.require("the ledger", strange.is_empty(), format!("{strange:?}"));
    let entry = stats.process(busy.pid())?;
    failures.require(
        "Python beside them",
        entry.status == "profiled",
        &entry.status,
    );
    failures.finish()
}

/// Makes sure that an interpreter whose file is out of reach does not pass for another program: the reason is
/// given.
#[test]
fn out_of_reach() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let directory = TempDir::new()?;
    let python = copy(
        &interpreters::named("debian-3.11")?.executable,
        directory.path(),
        "python3.11",
    )?;
    let target = start(
        "a deleted interpreter",
        Command::new(&python).arg(program()),
    )?;
    fs::remove_file(python)?;
    // Without these, the kernel's own link to a mapped file may not be followed.
    let run = Profiler::of([&target], RATE_HZ, "2s")
        .under(["setpriv", "--bounding-set=-sys_admin,-checkpoint_restore"])
        .run()?;
    ensure!(
        run.stderr
            .contains("the file of its interpreter cannot be read"),
        "{}",
        run.stderr
    );
    Ok(())
}
