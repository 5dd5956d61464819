//! What containers are called, as far as it is known, and whose names are still to be asked for.

use std::{
    collections::{HashMap, HashSet},
    mem,
};

use crate::host::{containers::Names, labels::Labels};

/// Names of containers.
#[derive(Debug)]
pub struct ContainerNames {
    /// By full id.
    pub by_id: HashMap<String, String>,
    /// How many were known to whoever tells them when it was asked last.
    learnt: usize,
    /// Containers without a name, of which nobody has been asked yet; and those of which somebody has.
    nameless: Vec<Labels>,
    asked: HashSet<String>,
}

impl ContainerNames {
    /// Those that are known at the start. Whoever tells of further ones is another, who begins with none.
    pub fn new(names: &Names) -> Self {
        Self {
            by_id: owned(names).collect(),
            learnt: 0,
            nameless: Vec::new(),
            asked: HashSet::new(),
        }
    }

    /// Takes in names; whether some are new.
    pub fn learn(&mut self, names: &Names) -> bool {
        let before = self.by_id.len();
        if names.len() != self.learnt {
            self.learnt = names.len();
            self.by_id.extend(owned(names));
        }
        self.by_id.len() != before
    }

    /// Remembers to ask for the name of the container that a cgroup is of, if it is of one.
    pub fn ask(&mut self, path: &str) {
        let labels = Labels::of_cgroup(path);
        if let Some(id) = &labels.container
            && !self.by_id.contains_key(id)
            && self.asked.insert(id.clone())
        {
            self.nameless.push(labels);
        }
    }

    /// Those to be asked for since the last call.
    pub fn nameless(&mut self) -> Vec<Labels> {
        mem::take(&mut self.nameless)
    }
}

fn owned(names: &Names) -> impl Iterator<Item = (String, String)> {
    names
        .iter()
        .map(|(id, named)| (id.to_owned(), named.name.clone()))
}
