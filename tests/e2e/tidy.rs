//! The repository itself: its pages name what exists, and no file is out of proportion. Needs neither root nor the
//! profiler.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use end_to_end::environment::skip;

/// The pages that name files.
const PAGES: &[&str] = &["ARCHITECTURE.md", "README.md"];
/// Bytes of the largest file that may be in git.
const LARGEST: u64 = 100_000;
/// What may be larger.
const LARGE: &[&str] = &["Cargo.lock"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page(name: &str) -> Result<String> {
    fs::read_to_string(workspace().join(name)).with_context(|| format!("cannot read {name}"))
}

/// A page without its blocks of code, in which readers' own files may be named.
fn prose(page: &str) -> String {
    let mut in_code = false;
    page.lines()
        .filter(|line| {
            let fence = line.trim_start().starts_with("```");
            in_code ^= fence;
            !fence && !in_code
        })
        .map(|line| format!("{line}\n"))
        .collect()
}

/// What stands between backticks and is a path in this repository by its looks: `folder/file`, or a file with
/// an ending that sources have. What is built is not in the repository.
fn paths_in_backticks(prose: &str) -> impl Iterator<Item = &str> {
    let looks_like_path = |span: &&str| {
        let relative = !span.starts_with(['/', '-', '~']) && !span.starts_with("target/");
        let plain = span
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
        let source = [".rs", ".md", ".toml", ".py", ".cjs", ".png"]
            .iter()
            .any(|ending| span.ends_with(ending));
        relative && plain && (span.contains('/') || source)
    };
    prose.split('`').skip(1).step_by(2).filter(looks_like_path)
}

/// Where links and pictures lead within this repository.
fn local_links(prose: &str) -> impl Iterator<Item = &str> {
    let targets = |before: &'static str, end: char| {
        prose
            .split(before)
            .skip(1)
            .filter_map(move |rest| rest.split_once(end).map(|(target, _)| target))
    };
    targets("](", ')')
        .chain(targets("src=\"", '"'))
        .map(|target| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains("://"))
}

/// Makes sure that every path that ARCHITECTURE.md and README.md name, and every file that they link to, exists.
#[test]
fn pages_name_what_exists() -> Result<()> {
    for name in PAGES {
        let prose = prose(&page(name)?);
        ensure!(
            prose.matches('`').count().is_multiple_of(2),
            "{name}: a backtick has no partner"
        );
        let named: BTreeSet<&str> = paths_in_backticks(&prose)
            .chain(local_links(&prose))
            .collect();
        ensure!(!named.is_empty(), "{name} names no path");
        let missing: Vec<_> = named
            .iter()
            .filter(|path| !workspace().join(path).exists())
            .collect();
        ensure!(
            missing.is_empty(),
            "{name} names what is not there: {missing:?}"
        );
    }
    Ok(())
}

/// Makes sure that ARCHITECTURE.md has a word on each top-level module of the profiler and on each end-to-end test.
#[test]
fn modules_and_tests_are_on_the_map() -> Result<()> {
    let map = page("ARCHITECTURE.md")?;
    let named: BTreeSet<&str> = paths_in_backticks(&map).collect();
    for (folder, ending) in [("profiler/src", ""), ("tests/e2e", ".rs")] {
        let mut files = 0;
        for entry in fs::read_dir(workspace().join(folder))? {
            let file = entry?.file_name();
            let path = format!("{folder}/{}", file.to_string_lossy());
            if !path.ends_with(ending) {
                continue;
            }
            ensure!(
                named.contains(&*path),
                "ARCHITECTURE.md does not name {path}"
            );
            files += 1;
        }
        ensure!(files > 0, "there is nothing in {folder}");
    }
    Ok(())
}

/// Makes sure that no file in git is larger than 100 kB, save those that tools write.
#[test]
fn files_are_small() -> Result<()> {
    // Under sudo the repository belongs to somebody else, of which git is wary.
    let listed = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "-z"])
        .current_dir(workspace())
        .output();
    let listed = match listed {
        Ok(listed) if listed.status.success() => listed.stdout,
        _ => {
            skip("this is no git repository, or there is no git");
            return Ok(());
        }
    };
    let mut large = Vec::new();
    for name in String::from_utf8(listed)?.split_terminator('\0') {
        // A file that was deleted, but is still listed, has no size.
        let bytes = match workspace().join(name).symlink_metadata() {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error).with_context(|| name.to_owned()),
        };
        if bytes > LARGEST && !LARGE.contains(&name) {
            large.push(format!("{name}: {bytes} bytes"));
        }
    }
    ensure!(large.is_empty(), "too large: {large:?}");
    Ok(())
}
