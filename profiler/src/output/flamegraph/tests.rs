//! Tests of whole flame graphs, read back by an XML parser that is not inferno's.

use proptest::prelude::*;
use roxmltree::{Document, Node, ParsingOptions};

use crate::{
    output::{
        Format, Group, Options,
        testing::{example, hostile, hostile_names, location, process, recording},
        text::printable,
    },
    profile::{
        builder::Builder,
        model::{Frame, Function, Profile, Thread},
    },
};

fn svg(profile: &Profile, options: &Options) -> String {
    let mut out = Vec::new();
    crate::output::write(profile, Format::Flamegraph, options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn parse(svg: &str) -> Document<'_> {
    // inferno's SVG names the DTD of SVG 1.1; nothing is fetched.
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(svg, options).unwrap()
}

/// The boxes: tooltip, left edge and width in ns, top in pixels, colour.
fn boxes<'a>(document: &'a Document<'_>) -> Vec<(&'a str, u64, u64, i64, &'a str)> {
    document
        .descendants()
        .filter(|node| node.tag_name().name() == "g")
        .map(|group| {
            let of = |name| {
                group
                    .children()
                    .find(|child| child.tag_name().name() == name)
                    .unwrap()
            };
            let rect = of("rect");
            let attribute = |wanted: &str| {
                rect.attributes()
                    .find(|attribute| attribute.name() == wanted && attribute.namespace().is_some())
                    .unwrap()
                    .value()
                    .parse()
                    .unwrap()
            };
            (
                of("title").text().unwrap(),
                attribute("x"),
                attribute("w"),
                rect.attribute("y").unwrap().parse().unwrap(),
                rect.attribute("fill").unwrap(),
            )
        })
        .collect()
}

/// Makes sure that boxes are as wide as their time, lie under their callers, and say time and share.
#[test]
fn boxes_show_time_and_share() {
    let text = svg(&example(), &Options::default());
    let document = parse(&text);
    let mut boxes = boxes(&document);
    boxes.sort_by_key(|&(_, x, _, y, _)| (y, x));
    let ms = 1_000_000;
    let seen: Vec<_> = boxes
        .iter()
        .map(|&(text, x, w, ..)| (text, x / ms, w / ms))
        .collect();
    assert_eq!(
        seen,
        [
            ("all (1.90 s, 100.0 %)", 0, 1900),
            ("[root frames omitted] (1.00 s, 52.6 %)", 0, 1000),
            ("main (shop/app.py:3) (900 ms, 47.4 %)", 1000, 900),
            ("main (shop/app.py:3) (1.00 s, 52.6 %)", 0, 1000),
            ("Shop.handle (shop/app.py:12) (800 ms, 42.1 %)", 1000, 800),
            ("decode (json/decoder.py:31) (100 ms, 5.3 %)", 1800, 100),
            ("Shop.handle (shop/app.py:14) (200 ms, 10.5 %)", 1600, 200),
        ]
    );
    // The root is on top, and equal texts have equal colours.
    assert!(boxes[0].3 < boxes[6].3);
    assert_eq!(boxes[2].4, boxes[3].4);
    assert_ne!(boxes[4].4, boxes[5].4);

    let upright = svg(
        &example(),
        &Options {
            flame: true,
            ..Options::default()
        },
    );
    let upright = parse(&upright);
    let upright = super::tests::boxes(&upright);
    let y = |wanted| upright.iter().find(|b| b.0.starts_with(wanted)).unwrap().3;
    assert!(y("all") > y("decode"));
}

/// Makes sure that the heading names command, host, time and losses. By hand: 190 samples of 10 ms; 10 of 200 lost.
#[test]
fn the_heading_says_what_was_recorded() {
    let text = svg(&example(), &Options::default());
    let document = parse(&text);
    let by_id = |id| {
        let node = document
            .descendants()
            .find(|node| node.attribute("id") == Some(id));
        node.unwrap().text().unwrap().to_owned()
    };
    assert_eq!(by_id("title"), "pyprof-ebpf --all-python -d 10");
    assert_eq!(
        by_id("subtitle"),
        "web-1 · Linux 6.1.0 · 10.0 s at 100 Hz · 190 samples = 1.90 s of CPU time · 5.0 % lost · Python 3.8.18, 3.12.1"
    );
}

/// Makes sure that frames whose texts begin alike stay one box each, although as strings they would not be
/// neighbours: `a (b)` < `a (b) (x)` < `a (b);...`.
#[test]
fn equal_frames_are_one_box() {
    let mut builder = Builder::new();
    let process = builder.process(process(1, "p"));
    let thread = builder.thread(Thread {
        process,
        tid: 1,
        name: "t".into(),
    });
    let mut frame = |name: &str| {
        let function = builder.function(Function {
            name: name.into(),
            file: "b".into(),
            first_line: 1,
        });
        Frame::Python(builder.location(location(function, 0)))
    };
    let (a, longer, c) = (frame("a"), frame("a (b)"), frame("c"));
    for stack in [vec![a], vec![longer, c], vec![a, c]] {
        let stack = builder.stack(stack);
        builder.sample(thread, stack, 1, 1_000_000_000);
    }
    let text = svg(&builder.finish(recording()), &Options::default());
    let document = parse(&text);
    let mut titles: Vec<_> = boxes(&document).iter().map(|b| b.0).collect();
    titles.sort_unstable();
    assert_eq!(
        titles,
        [
            "a (b) (2.00 s, 66.7 %)",
            "a (b) (b) (1.00 s, 33.3 %)",
            "all (3.00 s, 100.0 %)",
            "c (b) (1.00 s, 33.3 %)",
            "c (b) (1.00 s, 33.3 %)",
        ]
    );
}

/// Makes sure that a graph without samples says so and is well-formed.
#[test]
fn nothing_is_a_picture_too() {
    let mut recording = recording();
    recording.command_line = "pyprof-ebpf -- 'a<b' & c".into();
    let text = svg(&Builder::new().finish(recording), &Options::default());
    let document = parse(&text);
    let texts: Vec<_> = document
        .descendants()
        .filter_map(|node| node.text())
        .collect();
    assert!(texts.contains(&"pyprof-ebpf -- 'a<b' & c"));
    assert!(texts.iter().any(|text| text.contains("No samples")));
}

/// Makes sure that a huge profile becomes a picture of bounded size which keeps the widest boxes.
#[test]
fn the_number_of_boxes_is_bounded() {
    let mut builder = Builder::new();
    let process = builder.process(process(1, "p"));
    let thread = builder.thread(Thread {
        process,
        tid: 1,
        name: "t".into(),
    });
    for i in 0..40_000 {
        let function = builder.function(Function {
            name: format!("f{}", i % 9).into(),
            file: "b.py".into(),
            first_line: 1,
        });
        let deep = (0..8).map(|depth| (i >> (depth * 2)) & 3);
        let mut frames: Vec<_> = deep
            .map(|line| Frame::Python(builder.location(location(function, line))))
            .collect();
        frames.push(Frame::Python(builder.location(location(function, i))));
        let stack = builder.stack(frames);
        builder.sample(
            thread,
            stack,
            1,
            if i == 77 { 900_000_000_000 } else { 10_000_000 },
        );
    }
    let text = svg(&builder.finish(recording()), &Options::default());
    let document = parse(&text);
    let boxes = boxes(&document);
    assert!(boxes.len() <= super::BOXES_MAX, "{}", boxes.len());
    assert!(boxes.iter().any(|b| b.0.contains("b.py:77)")));
}

fn check(names: &[String]) {
    let options = Options {
        threads: true,
        group_by: vec![Group::Container, Group::Process],
        ..Options::default()
    };
    let text = svg(&hostile(names), &options);
    let document = parse(&text);
    let boxes = boxes(&document);
    let total = boxes.iter().find(|b| b.0.starts_with("all (")).unwrap();
    assert_eq!(total.2, 2 * names.len() as u64 * 10_000_000);
    for name in names {
        let name = printable(name);
        let name = if name.trim().is_empty() {
            "?"
        } else {
            name.trim()
        };
        assert!(boxes.iter().any(|b| b.0.starts_with(name)), "{name}");
    }
    // inferno's script and ours, and nothing else that a browser would run or fetch.
    let elements = document.descendants().filter(Node::is_element);
    for element in elements {
        let tag = element.tag_name().name();
        assert!(
            [
                "svg",
                "defs",
                "linearGradient",
                "stop",
                "style",
                "script",
                "rect",
                "text",
                "tspan",
                "g",
                "title"
            ]
            .contains(&tag),
            "{tag}"
        );
    }
    let scripts = document
        .descendants()
        .filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "script")));
    assert_eq!(scripts.count(), 2);
}

/// Makes sure that hostile names stand in a well-formed document as they are, and run nothing.
#[test]
fn hostile_names_are_only_text() {
    check(&hostile_names());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Makes sure of the same for any names.
    #[test]
    fn any_names_are_only_text(names in prop::collection::vec(any::<String>(), 1..5)) {
        check(&names);
    }
}
