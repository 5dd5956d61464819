//! The program `pyprof-ebpf`: exit statuses and nothing else.

use std::{
    env,
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus},
    time::SystemTime,
};

use clap::{CommandFactory, FromArgMatches};
use profiler::cli::{Cli, Command, config::Config, record};

fn main() -> ExitCode {
    #[cfg(feature = "diagnostics")]
    env_logger::init();
    let words: Vec<_> = env::args_os().collect();
    let cli = match Cli::command()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches))
    {
        Ok(cli) => cli,
        // clap prints help to standard output with status 0, mistakes to standard error with 2.
        Err(error) => error.exit(),
    };
    let flags = match cli.command {
        None => cli.record,
        Some(Command::Record(flags)) => *flags,
        Some(Command::Completions { shell }) => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "pyprof-ebpf",
                &mut std::io::stdout(),
            );
            return ExitCode::SUCCESS;
        }
    };
    let config = match Config::from_flags(flags, SystemTime::now()) {
        Ok(config) => config,
        Err(contradiction) => {
            eprintln!("pyprof-ebpf: {contradiction}\nhint: pyprof-ebpf --help shows examples");
            return ExitCode::from(2);
        }
    };
    match record::run(config, &words) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(status)) => pass_on(status),
        Err(failure) => {
            eprintln!("pyprof-ebpf: {failure}");
            ExitCode::from(failure.status())
        }
    }
}

/// The exit status of a command that was launched, as a shell gives it.
fn pass_on(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
