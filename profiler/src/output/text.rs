//! Text for people: untrusted text made harmless, and numbers with their units.

use std::{borrow::Cow, fmt::Write};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Replaces every character that could do something instead of showing something by the escape that Python's
/// `repr` gives it (`\n`, `\x1b`, `\u202e`): controls, line separators, what reverses or hides text, and what no
/// XML document may hold. The result is one line, and safe for a terminal.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find(acts) else {
        return Cow::Borrowed(text);
    };
    let (clean, rest) = text.split_at(first);
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(clean);
    for c in rest.chars() {
        if !acts(c) {
            out.push(c);
            continue;
        }
        // Writing to a String does not fail.
        let _ = match c {
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            '\0'..='\u{ff}' => write!(out, "\\x{:02x}", c as u32),
            '\u{100}'..='\u{ffff}' => write!(out, "\\u{:04x}", c as u32),
            _ => write!(out, "\\U{:08x}", c as u32),
        };
    }
    Cow::Owned(out)
}

/// [`printable`], cut to so many columns of a terminal; what is cut shows as an ellipsis.
#[must_use]
pub fn for_terminal(text: &str, columns: usize) -> String {
    let text = printable(text);
    if text.width() <= columns {
        return text.into_owned();
    }
    let mut used = 1; // the ellipsis
    let mut out = String::new();
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > columns {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// Whether a character acts on its surroundings, is invisible, or is no character at all.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Direction: marks, embeddings, overrides, isolates (Unicode 16, UAX #9, table 4).
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Line and paragraph separators; what shows as nothing.
            | '\u{2028}' | '\u{2029}' | '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
            // Noncharacters: XML forbids U+FFFE and U+FFFF, and our own markers are among the others.
            | '\u{fdd0}'..='\u{fdef}')
        || (c as u32) & 0xfffe == 0xfffe
}

/// A time with its unit, to three digits: `1.23 s`, `45.6 ms`, `2 min 03 s`.
#[must_use]
pub fn time(ns: u64) -> String {
    let (value, unit) = match ns {
        0 => return "0 s".into(),
        1..1_000 => return format!("{ns} ns"),
        // The limits are where rounding to three digits would reach the next unit.
        1_000..999_500 => (ns as f64 / 1e3, "µs"),
        999_500..999_500_000 => (ns as f64 / 1e6, "ms"),
        999_500_000..99_950_000_000 => (ns as f64 / 1e9, "s"),
        _ => {
            let seconds = ns / 1_000_000_000 + u64::from(ns % 1_000_000_000 >= 500_000_000);
            let (minutes, seconds) = (seconds / 60, seconds % 60);
            return if minutes < 60 {
                format!("{minutes} min {seconds:02} s")
            } else {
                format!("{} h {:02} min", minutes / 60, minutes % 60)
            };
        }
    };
    let decimals = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

/// A share in percent: `45.3 %`, `0.04 %`.
#[must_use]
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".into();
    }
    let share = 100.0 * part as f64 / whole as f64;
    if part != 0 && share < 0.095 {
        format!("{share:.2} %")
    } else {
        format!("{share:.1} %")
    }
}

/// A count with its thousands set apart: `12,345`.
#[must_use]
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count and its noun: `1 sample`, `2,970 samples`.
#[must_use]
pub fn counted(n: u64, noun: &str, plural: &str) -> String {
    format!("{} {}", count(n), if n == 1 { noun } else { plural })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Makes sure that what acts is escaped as Python's `repr` escapes it. Each expectation is what CPython 3.11
    /// prints for `repr(text)`, save that `repr` also escapes quotes and backslashes.
    #[test]
    fn escapes_read_as_in_python() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a\nb\r\t", r"a\nb\r\t"),
            ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
            ("nul\0del\x7f", r"nul\x00del\x7f"),
            ("c1\u{9b}31m", r"c1\x9b31m"),
            ("safe\u{202e}fdp.exe", r"safe\u202efdp.exe"),
            ("tag\u{e0041}", r"tag\U000e0041"),
            ("\u{ffff}", r"\uffff"),
            ("\u{10ffff}", r"\U0010ffff"),
            ("функция 函数 𝒻🦀 é", "функция 函数 𝒻🦀 é"),
            (
                "<script>alert('1')</script>;\"",
                "<script>alert('1')</script>;\"",
            ),
        ] {
            assert_eq!(printable(text), expected);
        }
    }

    /// Makes sure that wide characters count as two columns and a cut text has the width asked for.
    #[test]
    fn cutting_counts_columns() {
        assert_eq!(for_terminal("abc", 3), "abc");
        assert_eq!(for_terminal("abcd", 3), "ab…");
        assert_eq!(for_terminal("函数函数", 8), "函数函数");
        assert_eq!(for_terminal("函数函数", 6), "函数…");
        assert_eq!(for_terminal("\x1b\x1b", 5), r"\x1b…");
    }

    /// Makes sure that times keep three digits and change unit where a reader would.
    #[test]
    fn times_have_three_digits() {
        for (ns, expected) in [
            (0, "0 s"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (10_101_010, "10.1 ms"),
            (999_499_999, "999 ms"),
            (999_500_000, "1.00 s"),
            (9_994_000_000, "9.99 s"),
            (9_996_000_000, "10.0 s"),
            (99_940_000_000, "99.9 s"),
            (99_950_000_000, "1 min 40 s"),
            (123_000_000_000, "2 min 03 s"),
            (3_599_600_000_000, "1 h 00 min"),
            (90_000_000_000_000, "25 h 00 min"),
        ] {
            assert_eq!(time(ns), expected, "{ns}");
        }
    }

    /// Makes sure that shares and counts read as people write them.
    #[test]
    fn shares_and_counts() {
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(4, 10_000), "0.04 %");
        assert_eq!(percent(0, 7), "0.0 %");
        assert_eq!(percent(7, 0), "0 %");
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "sample", "samples"), "1 sample");
        assert_eq!(counted(0, "sample", "samples"), "0 samples");
    }

    proptest! {
        /// Makes sure that no text gets a control character, a line break or a reversal past the sanitiser, and that it
        /// leaves its own output alone.
        #[test]
        fn nothing_that_acts_is_left(text in any::<String>(), columns in 1_usize..60) {
            let clean = printable(&text);
            let acting = |c: char| c.is_control() || ['\u{202e}', '\u{2066}', '\u{2028}'].contains(&c);
            prop_assert!(!clean.contains(acting));
            prop_assert_eq!(printable(&clean), clean.as_ref());
            let cut = for_terminal(&text, columns);
            prop_assert!(cut.width() <= columns);
        }
    }
}
