//! How the value of a flag is compared with what there is.

use glob::Pattern;
use profiler_common::comm::{COMM_BYTES, CommPatterns, MAX_COMMS, Refused, comm_of};

use super::term::{Kind, Term};
use crate::host::labels::Labels;

/// Digits of a container's id that may stand for the whole: fewer are more likely a name.
const LEAST_DIGITS: usize = 4;
/// The endings of units: systemd.unit(5).
const UNITS: [&str; 11] = [
    "service",
    "socket",
    "device",
    "mount",
    "automount",
    "swap",
    "target",
    "path",
    "timer",
    "slice",
    "scope",
];

/// A term's value cannot match anything; the text says why and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Senseless(String);

impl Senseless {
    /// A term, and what is wrong with it.
    #[must_use]
    pub fn of(term: &Term, why: &str) -> Self {
        Self(format!("`{term}`: {why}"))
    }
}

/// Checks what can be checked of terms without looking at the host.
///
/// # Errors
/// Where a value can match nothing, or there are too many.
pub fn check(terms: &[Term]) -> Result<(), Senseless> {
    let mut comms = CommPatterns::default();
    for term in terms {
        let senseless = |why: &str| Err(Senseless::of(term, why));
        match term.kind {
            Kind::Cgroup if term.text.split('/').any(|part| part == "..") => {
                return senseless("write the path without `..`");
            }
            Kind::Container | Kind::Unit => {
                if let Err(error) = Pattern::new(&term.text) {
                    return senseless(error.msg);
                }
            }
            Kind::Comm => match comms.add(term.text.as_bytes(), term.exclude) {
                Ok(()) => {}
                Err(Refused::TooLong) => {
                    return senseless(&format!(
                        "the kernel cuts the names of processes to {COMM_BYTES} bytes: cut it too, or write *"
                    ));
                }
                Err(Refused::TooMany) => {
                    return senseless(&format!("{MAX_COMMS} names are the most: write * or ?"));
                }
            },
            Kind::Cgroup | Kind::User => {}
        }
        if term.text.is_empty() {
            return senseless("a value is missing");
        }
    }
    Ok(())
}

/// A container's name or id.
#[derive(Clone, Debug)]
pub struct ContainerPattern {
    name: Pattern,
    prefix: Option<String>,
}

impl ContainerPattern {
    /// Reads it; None where it is malformed.
    pub fn new(text: &str) -> Option<Self> {
        let is_id = text.len() >= LEAST_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some(Self {
            name: Pattern::new(text).ok()?,
            prefix: is_id.then(|| text.to_ascii_lowercase()),
        })
    }

    /// Whether it is this container: full id, and name where it has one.
    pub fn matches(&self, id: &str, name: Option<&str>) -> bool {
        let prefix = self.prefix.as_ref();
        prefix.is_some_and(|prefix| id.starts_with(prefix.as_str()))
            || self.name.matches(id)
            || name.is_some_and(|name| self.name.matches(name))
    }
}

/// A unit's name; `.service` may be left out, as for systemctl.
#[derive(Clone, Debug)]
pub struct UnitPattern(Vec<Pattern>);

impl UnitPattern {
    /// Reads it; None where it is malformed.
    pub fn new(text: &str) -> Option<Self> {
        let whole = text
            .rsplit_once('.')
            .is_some_and(|(_, ending)| UNITS.contains(&ending));
        let mut patterns = vec![Pattern::new(text).ok()?];
        if !whole {
            patterns.push(Pattern::new(&format!("{text}.service")).ok()?);
        }
        Some(Self(patterns))
    }

    /// The unit or slice that a cgroup is of, if it is this.
    pub fn of<'a>(&self, path: &'a str, labels: &'a Labels) -> Option<&'a str> {
        // A slice is the cgroup of that name, and what stands in it is below.
        let last = path.rsplit('/').next().unwrap_or_default();
        let slice = last.ends_with(".slice").then_some(last);
        let mut names = labels.unit.as_deref().into_iter().chain(slice);
        names.find(|name| self.0.iter().any(|pattern| pattern.matches(name)))
    }
}

/// The name of a process.
#[derive(Clone, Debug)]
pub struct CommPattern(Box<CommPatterns>);

impl CommPattern {
    /// Reads it; None where no name can match.
    pub fn new(text: &str) -> Option<Self> {
        let mut patterns = CommPatterns::default();
        patterns.add(text.as_bytes(), false).ok()?;
        Some(Self(Box::new(patterns)))
    }

    /// Whether it matches a name.
    pub fn matches(&self, comm: &str) -> bool {
        self.0.verdict(&comm_of(comm.as_bytes())) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that containers are known by name, by pattern and by the beginning of the id, and that a short
    /// name is not taken for an id.
    #[test]
    fn containers() {
        let id = "feed1234d3b07384d113edec49eaa6238ad5ff00feed1234d3b07384d113edec";
        let is = |text: &str| {
            ContainerPattern::new(text)
                .unwrap()
                .matches(id, Some("web-1"))
        };
        assert!(
            ["web-1", "web-*", "w?b-1", "feed", "FEED1234", id]
                .map(is)
                .iter()
                .all(|&is| is)
        );
        assert!(
            ["web", "fee", "feed12345", "-1"]
                .map(is)
                .iter()
                .all(|&is| !is)
        );
        assert!(
            ContainerPattern::new("build*")
                .unwrap()
                .matches("builder", None)
        );
    }

    /// Makes sure that a unit is meant with or without its ending, and a slice by its own.
    #[test]
    fn units() {
        let is = |text: &str, path: &str| {
            let labels = Labels::of_cgroup(path);
            let pattern = UnitPattern::new(text).unwrap();
            pattern.of(path, &labels).map(ToOwned::to_owned)
        };
        let path = "/system.slice/shop.service";
        for text in ["shop", "shop.service", "sh*"] {
            assert_eq!(is(text, path).as_deref(), Some("shop.service"), "{text}");
        }
        assert_eq!(is("shop.socket", path), None);
        assert_eq!(is("system.slice", path), None);
        assert_eq!(
            is("system.slice", "/system.slice").as_deref(),
            Some("system.slice")
        );
    }

    /// Makes sure that values that can match nothing are refused with what to do.
    #[test]
    fn senseless_values() {
        for (kind, text, hint) in [
            (Kind::Comm, "gunicorn: master [shop]", "15 bytes"),
            (Kind::Cgroup, "/a/../b", "without"),
            (Kind::Unit, "***", "wild"),
            (Kind::User, "", "missing"),
        ] {
            let term = Term {
                kind,
                exclude: true,
                text: text.into(),
            };
            let said = check(&[term]).unwrap_err().to_string();
            assert!(said.contains(hint) && said.contains("--exclude-"), "{said}");
        }
    }
}
