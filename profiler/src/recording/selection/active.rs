//! A term at work: what it is compared with, and whether it has matched.

use std::collections::HashMap;

use super::{
    pattern::{CommPattern, ContainerPattern, UnitPattern},
    term::Term,
};
use crate::host::{hierarchies::Place, labels::Labels};

/// What a term is compared with.
#[derive(Debug)]
pub enum Comparison {
    /// Numbers of hierarchies, and paths in them.
    Paths(Vec<(u32, String)>),
    /// Containers.
    Container(ContainerPattern),
    /// Units.
    Unit(UnitPattern),
    /// A user id.
    User(u32),
    /// Names of processes.
    Comm(CommPattern),
}

/// A term at work.
#[derive(Debug)]
pub struct Active {
    /// As typed.
    pub term: Term,
    /// What it means.
    pub comparison: Comparison,
    /// Whether it has matched: a place that exists, or a Python process.
    pub has_matched: bool,
}

impl Active {
    /// What of the term a cgroup is; None where it is nothing of it, or below what is.
    pub fn means(
        &self,
        hierarchy: u32,
        place: &Place,
        names: &HashMap<String, String>,
    ) -> Option<String> {
        let above = || {
            let (above, _) = place.path.rsplit_once('/')?;
            Some(Labels::of_cgroup(above))
        };
        match &self.comparison {
            Comparison::Paths(paths) => paths
                .iter()
                .any(|(number, path)| *number == hierarchy && *path == place.path)
                .then(|| place.path.clone()),
            Comparison::Container(pattern) => {
                let container = Labels::of_cgroup(&place.path).container?;
                let is_top = above()?.container.as_ref() != Some(&container);
                let name = names.get(&container).map(String::as_str);
                (is_top && pattern.matches(&container, name)).then_some(container)
            }
            Comparison::Unit(pattern) => {
                let labels = Labels::of_cgroup(&place.path);
                let unit = pattern.of(&place.path, &labels)?;
                (above()?.unit.as_deref() != Some(unit)).then(|| unit.to_owned())
            }
            Comparison::User(_) | Comparison::Comm(_) => None,
        }
    }

    /// Whether it is about this user or name; of places it says no.
    pub fn is_of(&self, user: Option<u32>, comm: Option<&str>) -> bool {
        match &self.comparison {
            Comparison::User(wanted) => user == Some(*wanted),
            Comparison::Comm(pattern) => comm.is_some_and(|comm| pattern.matches(comm)),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::selection::term::Kind;

    const ID: &str = "feed5eed0123456789abcdef0123456789abcdef0123456789abcdef01234567";

    fn meant(kind: Kind, text: &str, path: &str) -> Option<String> {
        let comparison = match kind {
            Kind::Container => Comparison::Container(ContainerPattern::new(text).unwrap()),
            Kind::Unit => Comparison::Unit(UnitPattern::new(text).unwrap()),
            _ => Comparison::Paths(vec![(4, text.to_owned())]),
        };
        let active = Active {
            term: Term {
                kind,
                exclude: false,
                text: text.to_owned(),
            },
            comparison,
            has_matched: false,
        };
        let place = Place {
            path: path.to_owned(),
            level: 0,
            id: 1,
        };
        let names = HashMap::from([(ID.to_owned(), "web".to_owned())]);
        active.means(4, &place, &names)
    }

    /// Makes sure that of a container's or a unit's cgroups the topmost is taken, which all others are below.
    #[test]
    fn the_topmost_is_meant() {
        let container = format!("/system.slice/docker-{ID}.scope");
        for text in ["web", "feed5eed"] {
            let found = meant(Kind::Container, text, &container);
            assert_eq!(found.as_deref(), Some(ID), "{text}");
            let below = format!("{container}/init.scope");
            assert_eq!(meant(Kind::Container, text, &below), None, "{text}");
        }
        assert_eq!(meant(Kind::Container, "we", &container), None);
        let unit = "/system.slice/shop.service";
        assert_eq!(
            meant(Kind::Unit, "shop", unit).as_deref(),
            Some("shop.service")
        );
        assert_eq!(
            meant(Kind::Unit, "shop", "/system.slice/shop.service/worker"),
            None
        );
        assert_eq!(meant(Kind::Cgroup, unit, unit).as_deref(), Some(unit));
        assert_eq!(meant(Kind::Cgroup, unit, "/system.slice"), None);
        assert_eq!(meant(Kind::Cgroup, "/", "/").as_deref(), Some("/"));
    }
}
