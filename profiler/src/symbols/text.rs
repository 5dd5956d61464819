//! Python strings become Rust strings.

/// Decodes the data of a Python string as PEP 393 stores it: one code point after the other, each of
/// `kind` bytes (1: Latin-1 or ASCII, 2 or 4: in the machine's byte order).
///
/// What is no character reads as U+FFFD, each on its own: lone surrogates, which Python allows, and
/// numbers beyond Unicode, which only damaged memory holds. Half a code point at the end is left out. Of
/// an unknown kind nothing can be said: one U+FFFD.
#[must_use]
pub fn decode(kind: u8, bytes: &[u8]) -> String {
    let or_replacement = |point| char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER);
    match kind {
        1 => bytes.iter().copied().map(char::from).collect(),
        2 => {
            let units = bytes.as_chunks().0.iter();
            units
                .map(|raw| or_replacement(u16::from_ne_bytes(*raw).into()))
                .collect()
        }
        4 => {
            let units = bytes.as_chunks().0.iter();
            units
                .map(|raw| or_replacement(u32::from_ne_bytes(*raw)))
                .collect()
        }
        _ => char::REPLACEMENT_CHARACTER.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn two(units: &[u16]) -> Vec<u8> {
        units.iter().flat_map(|unit| unit.to_ne_bytes()).collect()
    }

    fn four(points: &[u32]) -> Vec<u8> {
        points
            .iter()
            .flat_map(|point| point.to_ne_bytes())
            .collect()
    }

    /// Makes sure that each width of code point reads as the text that it stands for.
    #[test]
    fn every_kind() {
        assert_eq!(decode(1, b"plain"), "plain");
        assert_eq!(decode(1, b"na\xefve"), "naïve");
        assert_eq!(decode(2, &two(&[0x43f, 0x443, 0x442, 0x44c])), "путь");
        assert_eq!(decode(2, &two(&[0x8ba1, 0x7b97])), "计算");
        assert_eq!(
            decode(4, &four(&[0x61, 0x1f40d, 0x10ffff])),
            "a🐍\u{10ffff}"
        );
        assert_eq!(decode(4, b""), "");
    }

    /// Makes sure that surrogates stay apart: Python has no pairs of them, so two are two errors.
    #[test]
    fn surrogates() {
        assert_eq!(decode(2, &two(&[0x61, 0xd800, 0x62])), "a\u{fffd}b");
        assert_eq!(decode(2, &two(&[0xd83d, 0xdc0d])), "\u{fffd}\u{fffd}");
        assert_eq!(decode(4, &four(&[0xdcff])), "\u{fffd}");
    }

    /// Makes sure that damaged data still reads as something.
    #[test]
    fn damaged() {
        assert_eq!(
            decode(4, &four(&[0x110000, u32::MAX, 0x61])),
            "\u{fffd}\u{fffd}a"
        );
        assert_eq!(decode(2, &[0x61]), "");
        assert_eq!(decode(0, b"abc"), "\u{fffd}");
    }

    proptest! {
        /// Makes sure that any text survives, stored at any width that has room for it.
        #[test]
        fn any_text(text: String) {
            let points: Vec<u32> = text.chars().map(u32::from).collect();
            prop_assert_eq!(&decode(4, &four(&points)), &text);
            let narrow: Result<Vec<u16>, _> = points.iter().map(|&point| point.try_into()).collect();
            if let Ok(units) = narrow {
                prop_assert_eq!(&decode(2, &two(&units)), &text);
            }
            let bytes: Result<Vec<u8>, _> = points.iter().map(|&point| point.try_into()).collect();
            if let Ok(bytes) = bytes {
                prop_assert_eq!(&decode(1, &bytes), &text);
            }
        }

        /// Makes sure that any bytes of a known kind give a character for each whole code point.
        #[test]
        fn any_bytes(kind in prop::sample::select(vec![1u8, 2, 4]), bytes: Vec<u8>) {
            let text = decode(kind, &bytes);
            prop_assert_eq!(text.chars().count(), bytes.len() / usize::from(kind));
        }
    }
}
