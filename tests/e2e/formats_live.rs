//! Hostile names, from live processes, in each format: they come out right, and harmless.

use std::io::Read;

use anyhow::{Context, Result, ensure};
use end_to_end::{
    check::names,
    environment::Turn,
    interpreters,
    profiler::{Profiler, Run},
    target::Target,
};
use flate2::read::GzDecoder;
use serde_json::Value;

/// What the programs' code objects have: name and file name, in code points.
type Functions = Vec<[Vec<u32>; 2]>;

/// The oldest and the newest interpreter, and one of those that have qualified names and tables of their own.
fn profile(format: &'static str) -> Result<(Run, Functions)> {
    let all = interpreters::required()?;
    let chosen = [0, all.len() / 2, all.len() - 1].map(|index| &all[index]);
    let targets = chosen
        .into_iter()
        .map(|interpreter| Target::start(interpreter, "hostile_names.py", [] as [&str; 0]))
        .collect::<Result<Vec<_>>>()?;
    let run = Profiler::of(&targets, 999, "3s")
        .format(format)
        .run()?
        .succeeded()?;
    let functions = targets[0].fact("functions")?;
    Ok((run, functions))
}

/// Every name must be shown by one of these texts, which may go on after it.
fn all_shown(functions: &Functions, texts: &[String]) -> Result<()> {
    for [name, _] in functions {
        let shown = texts.iter().any(|text| names::begins(text, name));
        let name: String = name
            .iter()
            .filter_map(|&point| char::from_u32(point))
            .collect();
        ensure!(shown, "{name:?} is not shown");
    }
    Ok(())
}

/// Makes sure that the flame graph is well-formed XML with every name in a tooltip, and that no name became
/// markup or script.
#[test]
fn flame_graph() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let (run, functions) = profile("flamegraph")?;
    let text = String::from_utf8(run.output()?)?;
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..roxmltree::ParsingOptions::default()
    };
    let document = roxmltree::Document::parse_with_options(&text, options)?;
    let mut titles = Vec::new();
    for element in document.descendants().filter(roxmltree::Node::is_element) {
        match element.tag_name().name() {
            "title" => titles.push(element.text().unwrap_or_default().to_owned()),
            "script" => ensure!(
                !element.text().unwrap_or_default().contains("alert("),
                "a name is in a script"
            ),
            "img" => ensure!(false, "a file name became an element"),
            _ => (),
        }
        let handler = element
            .attributes()
            .find(|one| one.value().contains("alert(") && one.name().starts_with("on"));
        ensure!(handler.is_none(), "a name is in {handler:?}");
    }
    ensure!(
        !text.contains('\x1b') && !text.contains('\0'),
        "a control character"
    );
    all_shown(&functions, &titles)
}

/// Makes sure that the collapsed format has every name, one line to a stack.
#[test]
fn collapsed() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let (run, functions) = profile("collapsed")?;
    let profile = run.collapsed()?;
    let names: Vec<String> = profile
        .stacks
        .iter()
        .flat_map(|stack| stack.names().map(str::to_owned))
        .collect();
    all_shown(&functions, &names)
}

/// Makes sure that the speedscope format is JSON with every name.
#[test]
fn speedscope() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let (run, functions) = profile("speedscope")?;
    let document: Value = serde_json::from_slice(&run.output()?)?;
    let frames = document["shared"]["frames"]
        .as_array()
        .context("no frames")?;
    let names: Vec<String> = frames
        .iter()
        .filter_map(|frame| Some(frame["name"].as_str()?.to_owned()))
        .collect();
    all_shown(&functions, &names)
}

/// Makes sure that the pprof format is gzipped, and has every name in its table of strings, as UTF-8.
#[test]
fn pprof() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let (run, functions) = profile("pprof")?;
    let mut bytes = Vec::new();
    GzDecoder::new(&*run.output()?).read_to_end(&mut bytes)?;
    all_shown(&functions, &string_table(&bytes)?)
}

/// Field 6 of the message `Profile` (google/pprof, proto/profile.proto) holds its strings.
const STRING_TABLE: u64 = 6;

fn string_table(mut message: &[u8]) -> Result<Vec<String>> {
    let mut strings = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message)?;
        // The wire types that the message uses: a number, or something with a length.
        match key & 7 {
            0 => {
                varint(&mut message)?;
            }
            2 => {
                let length = usize::try_from(varint(&mut message)?)?;
                let (field, rest) = message.split_at_checked(length).context("cut off")?;
                message = rest;
                if key >> 3 == STRING_TABLE {
                    strings.push(std::str::from_utf8(field)?.to_owned());
                }
            }
            other => anyhow::bail!("wire type {other}"),
        }
    }
    Ok(strings)
}

fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().context("cut off")?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    anyhow::bail!("a number of more than 64 bits")
}
