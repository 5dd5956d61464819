//! Colours that tell whose code a frame is. A frame's colour depends on its text alone, so that it is the same in
//! every flame graph.

use inferno::flamegraph::color::Color;

use crate::output::{file_name::Origin, folded::Text, frame::Kind};

/// A range of colours for one kind of frame.
struct Shades {
    /// Degrees, from and to.
    hue: (f64, f64),
    /// 0 to 1.
    saturation: f64,
    /// 0 to 1, from and to; high enough for black text.
    lightness: (f64, f64),
}

const fn shades(kind: Kind) -> Shades {
    match kind {
        Kind::Python(Origin::Own) => Shades {
            hue: (12.0, 38.0),
            saturation: 0.92,
            lightness: (0.62, 0.72),
        },
        Kind::Python(Origin::StandardLibrary) => Shades {
            hue: (48.0, 58.0),
            saturation: 0.75,
            lightness: (0.66, 0.76),
        },
        Kind::Python(Origin::Package) => Shades {
            hue: (150.0, 185.0),
            saturation: 0.45,
            lightness: (0.62, 0.72),
        },
        Kind::Group => Shades {
            hue: (205.0, 220.0),
            saturation: 0.45,
            lightness: (0.80, 0.86),
        },
        Kind::Mark => Shades {
            hue: (0.0, 0.0),
            saturation: 0.0,
            lightness: (0.80, 0.84),
        },
    }
}

/// What the legend says, in the order in which it says it.
pub(super) const LEGEND: &[(Kind, &str)] = &[
    (Kind::Python(Origin::Own), "own code"),
    (Kind::Python(Origin::Package), "packages"),
    (Kind::Python(Origin::StandardLibrary), "standard library"),
    (Kind::Group, "process, thread, container"),
    (Kind::Mark, "missing frames"),
];

/// The colour of a frame.
pub(super) fn color(text: &Text) -> Color {
    let hash = fnv(text.text.as_bytes());
    let a = f64::from(hash as u16) / f64::from(u16::MAX);
    let b = f64::from((hash >> 16) as u16) / f64::from(u16::MAX);
    blend(&shades(text.kind), a, b)
}

/// The colour in the middle of a kind's range.
pub(super) fn middle(kind: Kind) -> Color {
    blend(&shades(kind), 0.5, 0.5)
}

fn blend(shades: &Shades, a: f64, b: f64) -> Color {
    let between = |(from, to): (f64, f64), x: f64| from + (to - from) * x;
    from_hsl(
        between(shades.hue, a),
        shades.saturation,
        between(shades.lightness, b),
    )
}

/// FNV-1a, finished with a multiplicative mix so that names which differ at the end differ in all bits.
fn fnv(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
}

/// HSL to RGB as in CSS Color 4, section 7.1; the hue in degrees, the rest from 0 to 1.
fn from_hsl(hue: f64, saturation: f64, lightness: f64) -> Color {
    let channel = |n: f64| {
        let k = (n + hue / 30.0) % 12.0;
        let value = lightness
            - saturation * lightness.min(1.0 - lightness) * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0);
        (value * 255.0).round() as u8
    };
    Color {
        r: channel(0.0),
        g: channel(8.0),
        b: channel(4.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that HSL becomes RGB. Expectations: CSS's named colours red, teal, gold and silver.
    #[test]
    fn known_colours() {
        for (hsl, rgb) in [
            ((0.0, 1.0, 0.5), (255, 0, 0)),
            ((180.0, 1.0, 0.251), (0, 128, 128)),
            ((50.588, 1.0, 0.5), (255, 215, 0)),
            ((0.0, 0.0, 0.753), (192, 192, 192)),
        ] {
            let color = from_hsl(hsl.0, hsl.1, hsl.2);
            assert_eq!((color.r, color.g, color.b), rgb);
        }
    }

    /// Makes sure that black text can be read on every colour: contrast of at least 7 to 1, which WCAG 2.1 asks for at
    /// its level AAA.
    #[test]
    fn text_is_legible() {
        let linear = |channel: u8| {
            let c = f64::from(channel) / 255.0;
            if c <= 0.04045 {
                c / 12.92
            } else {
                ((c + 0.055) / 1.055).powf(2.4)
            }
        };
        for &(kind, name) in LEGEND {
            for (a, b) in [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)] {
                let color = blend(&shades(kind), a, b);
                let luminance =
                    0.2126 * linear(color.r) + 0.7152 * linear(color.g) + 0.0722 * linear(color.b);
                assert!((luminance + 0.05) / 0.05 >= 7.0, "{name}: {color:?}");
            }
        }
    }
}
