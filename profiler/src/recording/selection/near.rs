//! What a person may have meant by a name that nothing has.

use super::term::Term;

/// How many names are given.
const GIVEN: usize = 5;
/// From where on two names are alike (Jaro-Winkler): `nginx` and `ngnix` are at 0.95, `web` and `db` at 0.
const ALIKE: f64 = 0.75;

/// A term that nothing matches, and what there is instead. Names are untrusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmatched {
    /// The term.
    pub term: Term,
    /// Names that exist: those that are alike, or else the first.
    pub near: Vec<String>,
    /// How many more there are.
    pub more: usize,
}

impl Unmatched {
    /// Looks for names that are near.
    #[must_use]
    pub fn new(term: &Term, names: impl IntoIterator<Item = String>) -> Self {
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        let mut alike: Vec<(f64, &String)> = names
            .iter()
            .map(|name| (likeness(&term.text, name), name))
            .filter(|&(likeness, _)| likeness >= ALIKE)
            .collect();
        alike.sort_by(|one, other| other.0.total_cmp(&one.0));
        let near: Vec<String> = if alike.is_empty() {
            names.iter().take(GIVEN).cloned().collect()
        } else {
            let best = alike.into_iter().take(GIVEN);
            best.map(|(_, name)| name.clone()).collect()
        };
        Self {
            term: term.clone(),
            more: names.len() - near.len(),
            near,
        }
    }

    /// The names, for a sentence: `web-1, web-2 and 7 more`; empty where there are none.
    #[must_use]
    pub fn names(&self) -> String {
        let names = self.near.join(", ");
        match self.more {
            0 => names,
            more => format!("{names} and {more} more"),
        }
    }
}

/// How alike two names are, from 0 to 1. Of paths the last part counts as well, by which people know them.
fn likeness(wanted: &str, name: &str) -> f64 {
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_lowercase();
    strsim::jaro_winkler(&wanted.to_lowercase(), &name.to_lowercase())
        .max(strsim::jaro_winkler(&last(wanted), &last(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::selection::term::Kind;

    fn near(text: &str, names: &[&str]) -> String {
        let term = Term {
            kind: Kind::Container,
            exclude: false,
            text: text.into(),
        };
        Unmatched::new(&term, names.iter().map(ToString::to_string)).names()
    }

    /// Makes sure that what is alike comes first, that what exists is told where nothing is, and that long lists
    /// are cut.
    #[test]
    fn names_that_were_meant() {
        assert_eq!(
            near("ngnix", &["redis", "nginx", "nginx-2"]),
            "nginx, nginx-2 and 1 more"
        );
        assert_eq!(
            near(
                "/system.slice/shop.service",
                &["/", "/system.slice/shop2.service", "/jobs"]
            ),
            "/system.slice/shop2.service and 2 more"
        );
        assert_eq!(near("web", &["db", "queue"]), "db, queue");
        assert_eq!(
            near("x", &["a", "b", "c", "d", "e", "f", "f"]),
            "a, b, c, d, e and 1 more"
        );
        assert_eq!(near("x", &[]), "");
    }
}
