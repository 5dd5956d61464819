//! A real browser opens our flame graph, and speedscope's own importer our speedscope file. `tests/browser` has the
//! scripts that use the pages and the packages that they need; `PYPROF_SCREENSHOTS=DIR` keeps pictures.

mod known;

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    path::{Path, PathBuf},
    process::Command,
};

use end_to_end::interpreters::cache_directory;
use known::{TestResult, hostile_names};
use profiler::output::{Format, Group, Options};
use serde::{Deserialize, de::DeserializeOwned};

/// What the page of a flame graph shows.
#[derive(Clone, Debug, Deserialize)]
struct Page {
    title: String,
    subtitle: String,
    legend: String,
    details: String,
    matched: String,
    search: String,
    unzoom: String,
    hacked: bool,
    boxes: Vec<Drawn>,
}

/// A box on it; lengths in pixels.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Drawn {
    tooltip: String,
    text: String,
    text_width: f64,
    fill: String,
    visible: bool,
    x: f64,
    y: f64,
    width: f64,
}

impl Page {
    fn find(&self, tooltip: &str) -> Result<&Drawn, String> {
        let mut found = self.boxes.iter().filter(|b| b.tooltip == tooltip);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            _ => Err(format!("not one {tooltip}: {self:#?}")),
        }
    }

    fn visible(&self) -> BTreeSet<&str> {
        let visible = self.boxes.iter().filter(|b| b.visible);
        visible.map(|b| b.tooltip.as_str()).collect()
    }
}

/// What there was to see while the flame graph was used.
#[derive(Debug, Deserialize)]
struct Visit {
    opened: Page,
    hovered: Page,
    zoomed: BTreeMap<String, Page>,
    unzoomed: Page,
    searched: Page,
    reset: Page,
}

/// Runs a script of `tests/browser`; None where something that it needs is missing.
fn run<T: DeserializeOwned>(
    script: &str,
    package: &str,
    arguments: &[&str],
) -> Result<Option<T>, Box<dyn Error>> {
    let chromium = known::find_command(&["chromium", "chromium-browser", "google-chrome"]);
    let Some(chromium) = known::require(chromium, "chromium")? else {
        return Ok(None);
    };
    let Some(node) = known::require(known::find_command(&["node", "nodejs"]), "node")? else {
        return Ok(None);
    };
    let packages = cache_directory().join("node/node_modules");
    for package in ["playwright-core", package] {
        let found = Some(packages.join(package)).filter(|path| path.is_dir());
        if known::require(found, &format!("the npm package {package}"))?.is_none() {
            return Ok(None);
        }
    }
    let output = Command::new(node)
        .arg(
            PathBuf::from(env!("CARGO_MANIFEST_DIR"))
                .join("browser")
                .join(script),
        )
        .args(arguments)
        .env("NODE_PATH", packages)
        .env("CHROMIUM", chromium)
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {errors}");
    Ok(Some(serde_json::from_slice(&output.stdout)?))
}

fn text(path: &Path) -> Result<&str, &'static str> {
    path.to_str()
        .ok_or("the temporary directory's name is not UTF-8")
}

/// Makes sure that a flame graph opens, zooms by click, finds by search and resets; that each name can be read in its
/// tooltip and, zoomed, in its box; and that nothing in a name runs.
#[test]
fn the_flame_graph_is_interactive() -> TestResult {
    let directory = tempfile::tempdir()?;
    let options = Options {
        group_by: vec![Group::Process],
        ..Options::default()
    };
    let file = known::write(directory.path(), Format::Flamegraph, &options)?;
    let handle = "Shop.handle (shop/app.py:12)";
    let names: Vec<_> = (100..)
        .zip(hostile_names())
        .map(|(line, (_, shown))| format!("{shown} (odd/names.py:{line})"))
        .collect();
    let mut arguments = vec![text(&file)?, "Shop\\.", handle];
    arguments.extend(names.iter().map(String::as_str));
    let Some(visit) = run::<Visit>("flamegraph.cjs", "playwright-core", &arguments)? else {
        return Ok(());
    };

    let opened = &visit.opened;
    assert_eq!(
        opened.title,
        "pyprof-ebpf --all-python -d 10 -o 'a<b>&c.svg'"
    );
    assert!(
        opened
            .subtitle
            .contains("1,250 samples = 12.5 s of CPU time · 3.8 % lost"),
        "{}",
        opened.subtitle
    );
    assert!(opened.legend.contains("own code"));
    // The picture is as wide as the window, 1,280 pixels, less a margin of 10 on each side.
    let all = opened.find("all (12.5 s, 100.0 %)")?;
    assert!((all.x, all.width) == (10.0, 1260.0), "{all:?}");
    let process = opened.find("web <&> (pid 4321) (10.0 s, 80.0 %)")?;
    let handle_box = opened.find(&format!("{handle} (4.00 s, 32.0 %)"))?;
    assert!((process.width - 0.8 * 1260.0).abs() < 1.0, "{process:?}");
    assert!(
        (handle_box.width - 0.32 * 1260.0).abs() < 1.0,
        "{handle_box:?}"
    );
    assert!(
        all.y < process.y && process.y < handle_box.y,
        "the root is on top"
    );
    assert_eq!(handle_box.text, handle);
    assert_eq!(visit.hovered.details, handle_box.tooltip);

    let zoomed = &visit.zoomed[handle];
    let left = BTreeSet::from([
        "all (12.5 s, 100.0 %)",
        "web <&> (pid 4321) (10.0 s, 80.0 %)",
        "<module> (shop/app.py:40) (10.0 s, 80.0 %)",
        &handle_box.tooltip,
        "Shop.handle (shop/app.py:14) (1.00 s, 8.0 %)",
    ]);
    assert_eq!(
        zoomed.visible(),
        left,
        "the frame, its callers and its callees"
    );
    assert!((zoomed.find(&handle_box.tooltip)?.width - 1260.0).abs() < 1.0);
    assert_eq!(zoomed.unzoom, "Reset Zoom");
    assert_eq!(
        (visit.unzoomed.unzoom.as_str(), &visit.unzoomed.boxes),
        ("", &opened.boxes)
    );

    for name in &names {
        let shown = visit.zoomed[name].find(&format!("{name} (250 ms, 2.0 %)"))?;
        if shown.text != *name {
            // 700 letters are wider than the window.
            let cut = shown
                .text
                .strip_suffix('…')
                .ok_or_else(|| format!("{shown:?}"))?;
            assert!(cut.len() > 150 && name.starts_with(cut), "{shown:?}");
        }
    }
    for page in [opened, &visit.searched]
        .into_iter()
        .chain(visit.zoomed.values())
    {
        assert!(!page.hacked);
        for shown in page.boxes.iter().filter(|b| b.visible) {
            assert!(
                shown.text_width <= shown.width,
                "the text leaves its box: {shown:?}"
            );
        }
    }

    let found: Vec<_> = visit
        .searched
        .boxes
        .iter()
        .zip(&opened.boxes)
        .filter(|(now, before)| now.fill != before.fill)
        .collect();
    assert_eq!(found.len(), 2, "both lines of Shop.handle");
    assert!(
        found
            .iter()
            .all(|(now, _)| now.tooltip.starts_with("Shop.handle ("))
    );
    assert_eq!(
        (
            visit.searched.matched.as_str(),
            visit.searched.search.as_str()
        ),
        ("Matched: 32.0%", "Reset Search")
    );
    assert_eq!(
        (visit.reset.matched.as_str(), visit.reset.search.as_str()),
        ("", "Search")
    );
    assert_eq!(visit.reset.boxes, opened.boxes);
    Ok(())
}

/// What speedscope shows.
#[derive(Debug, Deserialize)]
struct Speedscope {
    title: String,
    profiles: Vec<SpeedscopeProfile>,
}

#[derive(Debug, Deserialize)]
struct SpeedscopeProfile {
    name: String,
    /// Total time, own time, name.
    rows: Vec<[String; 3]>,
}

/// Makes sure that speedscope's own importer takes the file, and shows each process with the known times and names.
#[test]
fn speedscope_shows_the_known_times() -> TestResult {
    let directory = tempfile::tempdir()?;
    let file = known::write(directory.path(), Format::Speedscope, &Options::default())?;
    let arguments = [text(&file)?, "2"];
    let Some(seen) = run::<Speedscope>("speedscope.cjs", "speedscope", &arguments)? else {
        return Ok(());
    };
    assert_eq!(
        seen.title,
        "pyprof-ebpf --all-python -d 10 -o 'a<b>&c.svg' - speedscope"
    );
    let names: Vec<_> = seen
        .profiles
        .iter()
        .map(|profile| profile.name.as_str())
        .collect();
    assert_eq!(names, ["web <&> (pid 4321) (1/2)", "job (pid 77) (2/2)"]);

    let mut expected: Vec<[String; 3]> = [
        ["10.00s (100%)", "1.00s (10%)", "<module>"],
        ["4.00s (40%)", "3.00s (30%)", "Shop.handle"],
        ["1.00s (10%)", "1.00s (10%)", "Shop.handle"],
        ["2.00s (20%)", "2.00s (20%)", "JSONDecoder.decode"],
    ]
    .map(|row| row.map(String::from))
    .into();
    expected.extend(
        hostile_names()
            .into_iter()
            .map(|(_, shown)| ["250.00ms (2.5%)".into(), "250.00ms (2.5%)".into(), shown]),
    );
    let mut rows = seen.profiles[0].rows.clone();
    rows.sort();
    expected.sort();
    assert_eq!(rows, expected);

    // speedscope prints no time at all as `<0.01%`.
    let mut rows = seen.profiles[1].rows.clone();
    rows.sort();
    assert_eq!(
        rows,
        [
            ["2.50s (100%)", "0.00ns (<0.01%)", "[root frames omitted]"],
            ["2.50s (100%)", "2.50s (100%)", "<module>"],
        ]
    );
    Ok(())
}
