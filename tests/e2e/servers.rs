//! What people run: servers under load, and programs that switch between stacks in one thread.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use end_to_end::{
    check::Failures,
    environment::{self, PATIENCE, Turn, skip},
    held::{self, Held, Killed},
    interpreters,
    profiler::Profiler,
    target::Target,
};

const RATE_HZ: u32 = 999;
/// The stacks of `served.py`.
const SERVED: [&[&str]; 2] = [
    &["application", "handle_a", "a1", "a2"],
    &["application", "handle_b", "b1", "b2", "b3"],
];
const WORKERS: usize = 2;

/// A program of the servers' virtual environment; None where set-up has not provided it, which is then said.
fn installed(name: &str) -> Option<PathBuf> {
    let path = interpreters::cache_directory()
        .join("venv-servers/bin")
        .join(name);
    if path.exists() {
        return Some(path);
    }
    skip(&format!(
        "there is no {}: cargo xtask setup",
        path.display()
    ));
    None
}

/// Asks a server for `/a` and `/b` in turn, on several connections at once, until it is told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
}

impl Load {
    fn on(port: u16) -> Self {
        let load = Self {
            stop: Arc::default(),
            answers: Arc::default(),
        };
        for _ in 0..2 * WORKERS {
            let (stop, answers) = (Arc::clone(&load.stop), Arc::clone(&load.answers));
            thread::spawn(move || {
                for path in ["/a", "/b"].iter().cycle() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    if ask(port, path).is_ok() {
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        load
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn ask(port: u16, path: &str) -> Result<()> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(connection, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    ensure!(answer.contains(" 200 "), "{answer}");
    Ok(())
}

/// A port that nobody listens on.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A server and its workers, which are killed with it.
struct Server {
    target: Target,
    workers: Killed,
    port: u16,
}

impl Server {
    fn start(name: &str, command: &mut Command, port: u16) -> Result<Self> {
        command
            .current_dir(environment::programs())
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let mut server = Self {
            target: Target::of(command, name)?,
            workers: Killed::default(),
            port,
        };
        let deadline = Instant::now() + PATIENCE;
        while ask(port, "/a").is_err() || server.workers.0.len() < WORKERS {
            ensure!(Instant::now() < deadline, "{name} does not answer");
            thread::sleep(Duration::from_millis(50));
            server.workers.0 = children(server.target.pid())?;
        }
        Ok(server)
    }
}

fn children(pid: u32) -> Result<Vec<u32>> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    list.split_whitespace()
        .map(|pid| Ok(pid.parse()?))
        .collect()
}

/// Makes sure that the workers of gunicorn and uWSGI, which are forked and not executed, show the requests that they
/// serve, and their CPU time.
#[test]
fn workers_under_load() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let (Some(gunicorn), Some(uwsgi)) = (installed("gunicorn"), installed("uwsgi")) else {
        return Ok(());
    };
    let (first, second) = (free_port()?, free_port()?);
    let workers = WORKERS.to_string();
    let mut prefork = Command::new(gunicorn);
    prefork
        .args([
            "--workers",
            &workers,
            "--log-level",
            "error",
            "--no-control-socket",
        ])
        .args([
            "--bind",
            &format!("127.0.0.1:{first}"),
            "served:application",
        ]);
    let mut embedding = Command::new(uwsgi);
    embedding
        .args(["--master", "--processes", &workers, "--disable-logging"])
        .args([
            "--http-socket",
            &format!("127.0.0.1:{second}"),
            "--wsgi-file",
            "served.py",
        ]);
    let servers = [
        Server::start("gunicorn", &mut prefork, first)?,
        Server::start("uwsgi", &mut embedding, second)?,
    ];
    let pids: Vec<u32> = servers
        .iter()
        .flat_map(|one| one.workers.0.clone())
        .collect();
    let held = held::record(&pids, Profiler::of_all(RATE_HZ, "60s"), || {
        let loads: Vec<Load> = servers.iter().map(|server| Load::on(server.port)).collect();
        held::until_each_has_used(&pids, 1.0)?;
        for (server, load) in servers.iter().zip(&loads) {
            let answers = load.answers.load(Ordering::Relaxed);
            ensure!(answers > 100, "{}: {answers} answers", server.target.name);
        }
        Ok(())
    })?;
    let paths: Vec<Vec<String>> = SERVED
        .map(|path| path.iter().map(ToString::to_string).collect())
        .to_vec();
    let mut failures = Failures::new();
    for server in &servers {
        for &worker in &server.workers.0 {
            let name = &server.target.name;
            failures.expect(name, held.check_cpu_time(worker));
            // Besides requests, a server has its own work.
            let mut profile = held.profile_of(worker);
            let all = profile.samples();
            profile
                .stacks
                .retain(|stack| stack.has("handle_a") || stack.has("handle_b"));
            failures.expect(name, held::check_paths(&profile, &paths));
            failures.require(
                name,
                profile.samples() * 2 > all,
                "requests have not half of the time",
            );
        }
    }
    failures.finish()
}

/// Makes sure that where several stacks take turns in one thread, what is shown is the one that runs, whole and
/// unmixed, whoever does the switching.
#[test]
fn stacks_that_take_turns() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let Some(python) = installed("python") else {
        return Ok(());
    };
    let mut targets = Vec::new();
    for how in ["gevent", "greenlet", "asyncio", "uvloop"] {
        let mut command = Command::new(&python);
        command
            .arg(environment::programs().join("switching.py"))
            .arg(how);
        targets.push(Target::of(&mut command, how)?.ready()?);
    }
    let pids: Vec<u32> = targets.iter().map(Target::pid).collect();
    let held = held::record(&pids, Profiler::of_all(RATE_HZ, "60s"), || {
        held::until_each_has_used(&pids, 1.5)
    })?;
    let mut failures = Failures::new();
    for target in &targets {
        failures.expect(&target.name, held.check_cpu_time(target.pid()));
        failures.expect(&target.name, takes_turns(&held, target));
    }
    failures.finish()
}

fn takes_turns(held: &Held, target: &Target) -> Result<()> {
    let paths: Vec<Vec<String>> = target.fact("paths")?;
    let mut profile = held.profile_of(target.pid());
    let all = profile.samples();
    // The loop and what switches have frames of their own.
    profile.stacks.retain(|stack| stack.has("burn"));
    ensure!(
        profile.samples() * 4 > all,
        "{} of {all} samples in burn",
        profile.samples()
    );
    held::check_paths(&profile, &paths).context("while it works")?;
    for stack in &held.profile_of(target.pid()).stacks {
        let of = |begin: &str| stack.names().any(|name| name.starts_with(begin));
        let mixed = (of("worker_a") && of("worker_b")) || (of("task_a") && of("task_b"));
        ensure!(!mixed, "{stack:?}");
    }
    Ok(())
}
