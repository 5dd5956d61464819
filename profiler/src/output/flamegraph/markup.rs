//! What is done to inferno's SVG before it is written.

use std::fmt::Write;

use crate::output::text::{percent, time};

use super::palette::{self, LEGEND};

/// Stands for `;`, which separates frames in inferno's input. No text holds it: `text::printable` escapes
/// noncharacters.
pub(super) const SEMICOLON: char = '\u{fdd0}';
/// Stands for `#` at the start of a line, where inferno takes `# ` for a comment.
pub(super) const HASH: char = '\u{fdd1}';
/// inferno's name for what is counted, by which [`finish`] finds the numbers again.
pub(super) const COUNT_NAME: &str = "ns";

/// How names are fitted into boxes.
const FIT: &str = include_str!("fit.js");

/// Style beyond inferno's: it sets `font-color`, which is no property, for the subtitle, and draws neighbours without a
/// line between them. The line is drawn under its box, so that boxes narrower than the line still show.
const STYLE: &str = "
#subtitle, #legend { fill:#5f6368; }
#search { opacity:0.6; }
#legend { text-anchor:end; }
#frames:hover ~ #legend { visibility:hidden; }
#frames rect { stroke:#ffffff; stroke-width:0.6; paint-order:stroke; }
#frames > g:hover rect { stroke:#000000; paint-order:normal; }
#frames text { stroke:none; pointer-events:none; }
";

/// Puts back the characters that stood for others, writes times for people into the tooltips, and adds style and
/// legend. `total_ns` is the weight of the whole graph; `flame`: it is upright.
pub(super) fn finish(svg: &str, total_ns: u64, flame: bool) -> String {
    let mut out = String::with_capacity(svg.len());
    let mut rest = svg;
    let mut styled = false;
    // Names cannot hold these tags: inferno has escaped every `<`.
    while let Some((before, tail)) = rest.split_once("<title>") {
        let (title, after) = tail.split_once("</title>").unwrap_or((tail, ""));
        if styled {
            out.push_str(before);
        } else {
            let before = before.replacen("</style>", &format!("{STYLE}</style>"), 1);
            let scripts =
                format!("</script><script type=\"text/ecmascript\"><![CDATA[{FIT}]]></script>");
            out.push_str(&before.replacen("</script>", &scripts, 1));
            styled = true;
        }
        let _ = write!(out, "<title>{}</title>", tooltip(title, total_ns));
        rest = after;
    }
    match rest.rsplit_once("</svg>") {
        Some((before, after)) => {
            let _ = write!(out, "{before}{}</svg>{after}", legend(svg, flame));
        }
        None => out.push_str(rest),
    }
    out.replace(SEMICOLON, ";").replace(HASH, "#")
}

/// `name (1,230,000,000 ns, 45.00%)` as `name (1.23 s, 45.0 %)`.
fn tooltip(title: &str, total_ns: u64) -> String {
    let parsed = title.rsplit_once(" (").and_then(|(name, measure)| {
        let (count, _) = measure.split_once(' ')?;
        let ns: u64 = count.replace(',', "").parse().ok()?;
        Some((name, ns))
    });
    match parsed {
        Some((name, ns)) => format!("{name} ({}, {})", time(ns), percent(ns, total_ns)),
        None => title.into(),
    }
}

/// What the colours mean, where it is seen without scrolling: in an icicle at the right of the line above the frames,
/// which the details of a frame take while it is pointed at; otherwise at the bottom, left of the share of a search's
/// matches. The heights are those of inferno's text elements there.
fn legend(svg: &str, flame: bool) -> String {
    let (beside, right) = if flame {
        ("id=\"matched\"", 130)
    } else {
        ("id=\"details\"", 10)
    };
    let y = svg
        .split_once(beside)
        .and_then(|(_, tail)| tail.split_once(" y=\""))
        .and_then(|(_, tail)| tail.split_once('"'))
        .map_or("0", |(y, _)| y);
    let mut legend = format!("<text id=\"legend\" x=\"100%\" dx=\"-{right}\" y=\"{y}\">");
    for (i, &(kind, name)) in LEGEND.iter().enumerate() {
        let color = palette::middle(kind);
        let gap = if i == 0 { "" } else { "  " };
        let _ = write!(
            legend,
            "{gap}<tspan fill=\"rgb({},{},{})\">■</tspan> {name}",
            color.r, color.g, color.b
        );
    }
    legend.push_str("</text>");
    legend
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that a tooltip's last bracket is rewritten, whatever the name looks like.
    #[test]
    fn tooltips_show_time_and_share() {
        for (title, expected) in [
            (
                "f (a.py:1) (1,230,000,000 ns, 45.00%)",
                "f (a.py:1) (1.23 s, 41.0 %)",
            ),
            ("g (9 ns, 1%) (5 ns, 1%)", "g (9 ns, 1%) (5 ns, 0.00 %)"),
            ("all (3,000,000,000 ns, 100%)", "all (3.00 s, 100.0 %)"),
            ("no numbers", "no numbers"),
        ] {
            assert_eq!(tooltip(title, 3_000_000_000), expected);
        }
    }
}
