//! Hostile names: whether a text that was made harmless is still that name.

/// At most so many characters stand for one that was made harmless, as in `\u{10ffff}`.
const LONGEST_ESCAPE: usize = 10;

/// Whether a profile may have to show something else in place of this character: control characters, what
/// turns or breaks the line, the collapsed format's separator, and what no UTF-8 text can hold.
fn may_change(point: u32) -> bool {
    char::from_u32(point).is_none_or(|character| {
        character.is_control()
            || character == ';'
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

/// Whether `shown` is the name with these code points: each character as it is, save for those that
/// `may_change`, of which something short stands in the place.
#[must_use]
pub fn shows(shown: &str, name: &[u32]) -> bool {
    matches(shown, name, str::is_empty)
}

/// Whether `text` begins with the name with these code points, in the sense of [`shows`].
#[must_use]
pub fn begins(text: &str, name: &[u32]) -> bool {
    matches(text, name, |_| true)
}

/// `ends`: whether this may be left over.
fn matches(shown: &str, name: &[u32], ends: fn(&str) -> bool) -> bool {
    let Some((&first, rest)) = name.split_first() else {
        return ends(shown);
    };
    let mut after = shown.chars();
    if may_change(first) {
        return (0..=LONGEST_ESCAPE).any(|length| {
            (length == 0 || after.next().is_some()) && matches(after.as_str(), rest, ends)
        });
    }
    after.next().map(u32::from) == Some(first) && matches(after.as_str(), rest, ends)
}

/// A name's code points.
#[must_use]
pub fn points(name: &str) -> Vec<u32> {
    name.chars().map(u32::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that escapes of hostile characters are allowed, and no other change.
    #[test]
    fn only_hostile_characters_may_change() {
        assert!(shows("plain", &points("plain")));
        assert!(shows(r"a\nb", &points("a\nb")));
        assert!(shows("a:b", &points("a;b")));
        assert!(shows("a\u{fffd}b", &[97, 0xd800, 98]));
        assert!(shows(r"a\u{202e}b", &points("a\u{202e}b")));
        assert!(begins(r"a\nb (file.py:1)", &points("a\nb")));
        assert!(!begins("ab", &points("abc")));
        assert!(!shows("plai", &points("plain")));
        assert!(!shows("plain_", &points("plain")));
        assert!(!shows("&lt;b>", &points("<b>")));
        assert!(!shows("длинн?е", &points("длинное")));
    }
}
