//! The processes under profile, as the kernel side knows them, and the layouts of their interpreters.

use std::collections::HashMap;

use aya::maps::{Array, HashMap as KernelMap, MapData};
use profiler_common::{cpython::layout::Layout, process::Process, shared};

use super::KernelError;

/// The maps of processes and of layouts.
pub struct Registry {
    processes: KernelMap<MapData, u32, Process>,
    layouts: Array<MapData, Layout>,
    /// Which layouts are in the map, and where.
    known: HashMap<Layout, u32>,
    capacity: u32,
}

impl Registry {
    /// Over empty maps; that of processes holds `capacity` of them.
    #[must_use]
    pub fn new(
        processes: KernelMap<MapData, u32, Process>,
        layouts: Array<MapData, Layout>,
        capacity: u32,
    ) -> Self {
        Self {
            processes,
            layouts,
            known: HashMap::new(),
            capacity,
        }
    }

    /// How many processes can be under profile at a time.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Makes a layout known to the programs and returns its index; None where there is no room.
    ///
    /// # Errors
    /// Where the map cannot be written.
    pub fn layout(&mut self, layout: &Layout) -> Result<Option<u32>, KernelError> {
        if let Some(&index) = self.known.get(layout) {
            return Ok(Some(index));
        }
        let Some(index) = u32::try_from(self.known.len())
            .ok()
            .filter(|&index| index < shared::MAX_LAYOUTS)
        else {
            return Ok(None);
        };
        self.layouts.set(index, layout, 0)?;
        self.known.insert(*layout, index);
        Ok(Some(index))
    }

    /// Puts a process under profile.
    ///
    /// # Errors
    /// Where the map is full or cannot be written.
    pub fn register(&mut self, pid: u32, process: &Process) -> Result<(), KernelError> {
        Ok(self.processes.insert(pid, process, 0)?)
    }

    /// What the kernel side knows of a process; None where it is not under profile.
    #[must_use]
    pub fn process(&self, pid: u32) -> Option<Process> {
        self.processes.get(&pid, 0).ok()
    }

    /// Takes a process out of the map.
    pub fn forget(&mut self, pid: u32) {
        // Not there any more is as good.
        let _ = self.processes.remove(&pid);
    }

    /// All processes in the map.
    #[must_use]
    pub fn processes(&self) -> Vec<(u32, Process)> {
        self.processes.iter().filter_map(Result::ok).collect()
    }
}
