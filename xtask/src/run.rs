//! Build, then become the profiler.

use std::{env, ffi::OsString, os::unix::process::CommandExt as _};

use anyhow::{Context, Result};
use clap::Args;

use crate::{
    build::{self, BuildArgs},
    shell,
};

/// The arguments of `cargo xtask run`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask run --all-python -d 10
  cargo xtask run -- python3 examples/flights.py
  cargo xtask run record --help         the profiler's own help")]
pub struct RunArgs {
    /// All that follows is the profiler's: it runs as root, through sudo where need be
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGUMENT"
    )]
    arguments: Vec<OsString>,
}

/// `cargo xtask run`. Returns only where the profiler cannot be started.
pub fn main(args: &RunArgs) -> Result<()> {
    let binary = build::build(&BuildArgs::default())?;
    let mut command = shell::as_root(&binary);
    command.args(verbatim(&args.arguments, env::args_os()));
    Err(command.exec()).with_context(|| format!("cannot run {}", shell::display(&command)))
}

/// The arguments as typed: clap takes a `--` away that comes first, and this one is the profiler's.
fn verbatim(parsed: &[OsString], typed: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut typed: Vec<OsString> = typed.collect();
    let first = typed.len().saturating_sub(parsed.len());
    let dashes = first > 0 && typed[first - 1] == "--";
    typed.split_off(if dashes { first - 1 } else { first })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::Parser;

    use super::{RunArgs, verbatim};

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        run: RunArgs,
    }

    /// The profiler gets its arguments as they were typed: options, and the `--` before a command, wherever it stands.
    #[test]
    fn arguments_pass_through() {
        for typed in [
            &["--all-python", "-d", "10"][..],
            &["-d", "5", "--", "python3", "x.py", "--", "-v"],
            &["--", "python3", "x.py"],
            &["record", "--help"],
            &[],
        ] {
            let line = || {
                std::iter::once("xtask")
                    .chain(typed.iter().copied())
                    .map(OsString::from)
            };
            let parsed = Cli::try_parse_from(line()).unwrap();
            assert_eq!(verbatim(&parsed.run.arguments, line()), typed);
        }
    }
}
