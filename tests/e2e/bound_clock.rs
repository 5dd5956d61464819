//! A filter for one cgroup: the sampling clock runs in it alone.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use end_to_end::{
    cgroups::{self, Cgroup, version_2},
    check::filtered::{holds_only, weighs_as_accounted},
    environment::Turn,
    interpreters::of_host,
    profiler::Profiler,
    target::Target,
};

const RATE_HZ: u32 = 999;

/// A busy program that is in a cgroup from its first instruction on.
fn busy_in(cgroup: &Cgroup) -> Result<Target> {
    Target::start_in(cgroup, &of_host()?, "busy.py", ["20"])
}

/// Makes sure that a cgroup that shares its CPUs with a busy neighbour has the CPU time that the kernel accounts to it,
/// bursts shorter than the sampling period and what is made below it meanwhile included, and that nothing of the
/// neighbour is seen, with the sampling event bound to the cgroup: as it is unless version 1 has the controller.
#[test]
fn beside_a_busy_neighbour() -> Result<()> {
    let (Some(_turn), Some(root)) = (Turn::take(), version_2()) else {
        return Ok(());
    };
    let cgroup = Cgroup::new(&root, "/pyprof-test/wanted")?;
    let neighbour = Cgroup::new(&root, "/pyprof-test/neighbour")?;
    let steady = busy_in(&cgroup)?;
    let bursts = Target::start::<&str>(&of_host()?, "bursts.py", [])?;
    cgroup.add(bursts.pid())?;
    let _neighbours = [busy_in(&neighbour)?, busy_in(&neighbour)?];
    let recorder = cgroup.record();
    let mut running = Profiler::new()
        .args(["-v", "--cgroup", &cgroup.path])
        .sampling(RATE_HZ, "5s")
        .start()?;
    running.until_sampling()?;
    let late = Cgroup::new(&root, "/pyprof-test/wanted/late")?;
    let newcomer = busy_in(&late)?;
    let run = running.wait()?.succeeded()?;
    ensure!(
        run.stderr.contains("bound to the cgroup") || cgroups::root(Some("perf_event")).is_some(),
        "{}",
        run.stderr
    );
    let inside = [&steady, &bursts, &newcomer];
    holds_only(&run, &inside.map(Target::pid))?;
    weighs_as_accounted(&run, recorder, &inside)
}

/// Makes sure that a cgroup which is removed while it is sampled, and made anew under its path, is sampled again.
#[test]
fn a_cgroup_that_is_made_anew() -> Result<()> {
    let (Some(_turn), Some(root)) = (Turn::take(), version_2()) else {
        return Ok(());
    };
    let path = "/pyprof-test/again";
    let first = Cgroup::new(&root, path)?;
    let before = busy_in(&first)?;
    let mut running = Profiler::new()
        .args(["--cgroup", path, "-r", &RATE_HZ.to_string()])
        .start()?;
    running.until_sampling()?;
    thread::sleep(Duration::from_millis(300));
    let pid = before.pid();
    drop((before, first));
    let second = Cgroup::new(&root, path)?;
    let after = busy_in(&second)?;
    thread::sleep(Duration::from_millis(500));
    let run = running.interrupted()?;
    holds_only(&run, &[pid, after.pid()])
}
