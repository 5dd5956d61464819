//! Names of containers, as far as they are known.

use std::{collections::HashMap, time::Duration};

use super::{
    super::labels::{Labels, Runtime, is_id},
    endpoint::{Endpoint, ask},
};

/// What a runtime says of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name: untrusted.
    pub name: String,
    /// Who knows it by that name.
    pub runtime: Runtime,
}

/// Names by container id.
#[derive(Clone, Debug, Default)]
pub struct Names(HashMap<String, Named>);

impl Names {
    /// Asks as [`ask`] does, and keeps the first answer about each container.
    #[must_use]
    pub fn ask(endpoints: &[Endpoint], patience: Duration) -> Self {
        let mut names = HashMap::new();
        for (endpoint, id, name) in ask(endpoints, patience) {
            let runtime = endpoint.runtime;
            names.entry(id).or_insert(Named { name, runtime });
        }
        Self(names)
    }

    /// What is known of the container with a full id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Named> {
        self.0.get(id)
    }

    /// How many are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them: full id and name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Named)> {
        self.0.iter().map(|(id, named)| (id.as_str(), named))
    }

    /// Takes in what is said of the container with a full id.
    pub(super) fn insert(&mut self, id: String, named: Named) {
        self.0.insert(id, named);
    }

    /// How a container is called: its name, or what its id is cut to, and its runtime, where known.
    #[must_use]
    pub fn call(&self, labels: &Labels) -> Option<(String, Option<Runtime>)> {
        let id = labels.container.as_deref()?;
        Some(match self.get(id) {
            Some(named) => (named.name.clone(), labels.runtime.or(Some(named.runtime))),
            None => (short(id).to_owned(), labels.runtime),
        })
    }
}

/// An id as `docker ps` and `podman ps` show it, 12 digits long; what is a name already stays whole.
#[must_use]
pub fn short(id: &str) -> &str {
    if is_id(id) {
        id.get(..12).unwrap_or(id)
    } else {
        id
    }
}
