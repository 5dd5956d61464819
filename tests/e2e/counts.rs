//! Counts that are the same each time: nothing has become more expensive unnoticed.

use std::{env, process::Command};

use anyhow::{Result, ensure};
use end_to_end::environment::{Turn, skip};

/// Makes sure that no count has risen by more than 5 % over those in `tests/counts.json`: instructions that the kernel's
/// verifier follows, bytes of a sample, instructions and allocations of user space.
#[test]
fn no_count_has_risen() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    if !Command::new("valgrind")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        skip("there is no valgrind: cargo xtask setup provides it");
        return Ok(());
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["xtask", "counts"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    ensure!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
