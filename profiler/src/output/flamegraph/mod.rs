//! Flame graphs: one self-contained, interactive SVG, drawn by inferno.

mod heading;
mod markup;
mod palette;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use inferno::flamegraph::{
    self, Direction,
    color::{BackgroundColor, Color, PaletteMap},
};

use crate::profile::model::Profile;

use super::{
    NO_SAMPLES, Options,
    folded::{Folded, Line, box_weights},
    frame::Kind,
};

/// How many boxes are drawn at most: browsers stay quick up to here. The smallest are left out.
const BOXES_MAX: usize = 20_000;
/// The narrowest box drawn, as a share of the whole in percent: a tenth of a pixel.
const MIN_WIDTH_PERCENT: f64 = 0.01;

/// Unlike any colour of the palette, and light enough for black text.
const SEARCH_COLOR: &str = "#e28dff";

pub(super) fn write(profile: &Profile, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let folded = Folded::new(profile, options);
    let lines = folded.lines();
    let total_ns: u64 = lines.iter().map(|line| line.weight_ns).sum();
    if total_ns == 0 {
        return write_empty(profile, out);
    }
    let mut colors = PaletteMap::default();
    for text in folded.texts() {
        colors.insert(encode(&text.text), palette::color(text));
    }
    // inferno's own root has no text.
    colors.insert("", palette::middle(Kind::Group));
    let mut inferno = flamegraph::Options::default();
    inferno.title = heading::title(profile);
    inferno.subtitle = Some(heading::subtitle(profile));
    inferno.direction = if options.flame {
        Direction::Straight
    } else {
        Direction::Inverted
    };
    inferno.count_name = markup::COUNT_NAME.into();
    inferno.name_type = String::new();
    inferno.palette_map = Some(&mut colors);
    inferno.bgcolors = Some(BackgroundColor::Flat(Color {
        r: 255,
        g: 255,
        b: 255,
    }));
    inferno.search_color = SEARCH_COLOR.parse().map_err(io::Error::other)?;
    inferno.min_width = min_width(&lines, total_ns);
    // Lines are in order already, by frames. inferno would sort them as strings, in which `f;g` and `f(x);g` and
    // `f;h` may follow each other, and draw `f` twice. Its option for lines in order of time does not sort, but
    // takes them last first.
    inferno.flame_chart = true;
    let texts: Vec<String> = lines.iter().rev().map(input).collect();
    let mut svg = Vec::new();
    flamegraph::from_lines(&mut inferno, texts.iter().map(String::as_str), &mut svg)?;
    let svg = String::from_utf8(svg).map_err(io::Error::other)?;
    out.write_all(markup::finish(&svg, total_ns, options.flame).as_bytes())
}

/// A line of inferno's input.
fn input(line: &Line<'_>) -> String {
    let mut input = String::new();
    for (depth, frame) in line.frames.iter().enumerate() {
        if depth > 0 {
            input.push(';');
        }
        input.push_str(&encode(&frame.text));
    }
    if input.starts_with("# ") {
        input.replace_range(..1, markup::HASH.encode_utf8(&mut [0; 4]));
    }
    input + &format!(" {}", line.weight_ns)
}

fn encode(text: &str) -> String {
    text.replace(';', markup::SEMICOLON.encode_utf8(&mut [0; 4]))
}

/// The width of the narrowest box to draw, in percent.
fn min_width(lines: &[Line<'_>], total_ns: u64) -> f64 {
    let mut weights = box_weights(lines);
    if weights.len() <= BOXES_MAX {
        return MIN_WIDTH_PERCENT;
    }
    let (_, &mut limit, _) = weights.select_nth_unstable_by(BOXES_MAX, |a, b| b.cmp(a));
    // One more than what the first box left out weighs: inferno draws all that weigh as much as the limit.
    MIN_WIDTH_PERCENT.max(100.0 * (limit + 1) as f64 / total_ns as f64)
}

/// A picture that says that there is nothing to show.
fn write_empty(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    write!(
        out,
        r##"<?xml version="1.0" standalone="no"?>
<svg version="1.1" width="100%" height="120" xmlns="http://www.w3.org/2000/svg" font-family="monospace" text-anchor="middle">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="50%" y="24" font-size="17">{}</text>
<text x="50%" y="48" font-size="12" fill="#5f6368">{}</text>
<text x="50%" y="84" font-size="12">{NO_SAMPLES}</text>
</svg>
"##,
        heading::escape(&heading::title(profile)),
        heading::escape(&heading::subtitle(profile)),
    )
}
