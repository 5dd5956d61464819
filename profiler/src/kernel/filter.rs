//! The filter's part of the kernel side: where the fields are that it looks at, and its maps.

use std::collections::HashMap as StdHashMap;

use aya::{
    EbpfLoader,
    maps::{Array, HashMap, MapData, MapError},
};
use profiler_common::filter::{Filter, Key};

use super::btf::{Btf, BtfError};

/// Offsets in the kernel's structures; all 0 where there is no filter.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    filtered: u32,
    task_credentials: u32,
    credentials_user: u32,
    task_leader: u32,
    task_comm: u32,
    task_cgroups: u32,
    cgroups_default: u32,
    cgroups_states: u32,
    state_cgroup: u32,
    cgroup_level: u32,
    cgroup_ancestors: u32,
    ancestors_are_pointers: u32,
    cgroup_node: u32,
    node_id: u32,
    cgroup_root: u32,
    root_hierarchy: u32,
}

impl Offsets {
    pub(super) fn of(btf: &Btf) -> Result<Self, BtfError> {
        // Up to 6.0 the ids themselves, from 6.1 on pointers to the cgroups.
        let (cgroup_ancestors, ancestors_are_pointers) = match btf.offset("cgroup", &["ancestors"])
        {
            Ok(offset) => (offset, 1),
            Err(_) => (btf.offset("cgroup", &["ancestor_ids"])?, 0),
        };
        Ok(Self {
            filtered: 1,
            task_credentials: btf.offset("task_struct", &["real_cred"])?,
            credentials_user: btf.offset("cred", &["euid"])?,
            task_leader: btf.offset("task_struct", &["group_leader"])?,
            task_comm: btf.offset("task_struct", &["comm"])?,
            task_cgroups: btf.offset("task_struct", &["cgroups"])?,
            cgroups_default: btf.offset("css_set", &["dfl_cgrp"])?,
            cgroups_states: btf.offset("css_set", &["subsys"])?,
            state_cgroup: btf.offset("cgroup_subsys_state", &["cgroup"])?,
            cgroup_level: btf.offset("cgroup", &["level"])?,
            cgroup_ancestors,
            ancestors_are_pointers,
            cgroup_node: btf.offset("cgroup", &["kn"])?,
            node_id: btf.offset("kernfs_node", &["id"])?,
            cgroup_root: btf.offset("cgroup", &["root"])?,
            root_hierarchy: btf.offset("cgroup_root", &["hierarchy_id"])?,
        })
    }

    /// Hands them over.
    pub(super) fn set<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        for (name, value) in [
            ("FILTERED", &self.filtered),
            ("TASK_CREDENTIALS", &self.task_credentials),
            ("CREDENTIALS_USER", &self.credentials_user),
            ("TASK_LEADER", &self.task_leader),
            ("TASK_COMM", &self.task_comm),
            ("TASK_CGROUPS", &self.task_cgroups),
            ("CGROUPS_DEFAULT", &self.cgroups_default),
            ("CGROUPS_STATES", &self.cgroups_states),
            ("STATE_CGROUP", &self.state_cgroup),
            ("CGROUP_LEVEL", &self.cgroup_level),
            ("CGROUP_ANCESTORS", &self.cgroup_ancestors),
            ("ANCESTORS_ARE_POINTERS", &self.ancestors_are_pointers),
            ("CGROUP_NODE", &self.cgroup_node),
            ("NODE_ID", &self.node_id),
            ("CGROUP_ROOT", &self.cgroup_root),
            ("ROOT_HIERARCHY", &self.root_hierarchy),
        ] {
            loader.override_global(name, value, true);
        }
    }
}

/// The kernel's numbers of the controllers (`enum cgroup_subsys_id`), by the names that version 1 has for them.
///
/// # Errors
/// Where the kernel does not describe its types.
pub fn subsystems() -> Result<StdHashMap<String, u32>, BtfError> {
    let numbers = Btf::of_kernel()?.enumerators("cgroup_subsys_id");
    Ok(numbers
        .into_iter()
        .filter_map(|(name, number)| {
            let name = match name.strip_suffix("_cgrp_id")? {
                // Its name before it had two (`legacy_name`, Linux block/blk-cgroup.c).
                "io" => "blkio",
                name => name,
            };
            Some((name.to_owned(), number))
        })
        .collect())
}

/// The maps of the filter.
pub struct FilterMaps {
    filter: Array<MapData, Filter>,
    matches: HashMap<MapData, Key, u32>,
}

impl FilterMaps {
    pub(super) const fn new(
        filter: Array<MapData, Filter>,
        matches: HashMap<MapData, Key, u32>,
    ) -> Self {
        Self { filter, matches }
    }

    /// Sets all but places and users.
    ///
    /// # Errors
    /// Where the map cannot be written.
    pub fn set(&mut self, filter: &Filter) -> Result<(), MapError> {
        self.filter.set(0, filter, 0)
    }

    /// Sets what a place or a user stands for: bits of `profiler_common::filter::verdict`, 0 for nothing.
    ///
    /// # Errors
    /// Where the map is full or cannot be written.
    pub fn set_match(&mut self, key: &Key, verdict: u32) -> Result<(), MapError> {
        if verdict == 0 {
            self.matches.remove(key)
        } else {
            self.matches.insert(key, verdict, 0)
        }
    }
}
