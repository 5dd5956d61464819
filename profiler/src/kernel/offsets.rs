//! Where the fields that the kernel side reads lie in the running kernel's structures.

use aya::EbpfLoader;

use super::{
    btf::{Btf, BtfError},
    filter,
};

/// Offsets in the kernel's structures.
#[derive(Debug)]
pub(super) struct Offsets {
    thread_pointer: u32,
    runtime: u32,
    tgid: u32,
    pid: u32,
    signal: u32,
    live: u32,
    memory: u32,
    executable_pages: u32,
    filter: filter::Offsets,
}

impl Offsets {
    /// Those of the running kernel: of the filter's fields where there is a filter.
    pub(super) fn of_kernel(filtered: bool) -> Result<Self, BtfError> {
        let btf = Btf::of_kernel()?;
        let task = |path: &[&str]| btf.offset("task_struct", path);
        Ok(Self {
            // x86-64: `thread_struct.fsbase`, which is what pthread_self() is.
            thread_pointer: task(&["thread", "fsbase"])?,
            runtime: task(&["se", "sum_exec_runtime"])?,
            tgid: task(&["tgid"])?,
            pid: task(&["pid"])?,
            signal: task(&["signal"])?,
            live: btf.offset("signal_struct", &["live"])?,
            memory: task(&["mm"])?,
            executable_pages: btf.offset("mm_struct", &["exec_vm"])?,
            filter: if filtered {
                filter::Offsets::of(&btf)?
            } else {
                filter::Offsets::default()
            },
        })
    }

    /// Hands them over.
    pub(super) fn set<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        for (name, value) in [
            ("TASK_THREAD_POINTER", &self.thread_pointer),
            ("TASK_RUNTIME", &self.runtime),
            ("TASK_TGID", &self.tgid),
            ("TASK_PID", &self.pid),
            ("TASK_SIGNAL", &self.signal),
            ("SIGNAL_LIVE", &self.live),
            ("TASK_MM", &self.memory),
            ("MM_EXEC_VM", &self.executable_pages),
        ] {
            loader.override_global(name, value, true);
        }
        self.filter.set(loader);
    }
}
