//! What the kernel side believes to have sent, and how it forgets that.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

use aya::{
    maps::{Map, MapData, MapError},
    sys::SyscallError,
    util::nr_cpus,
};
use profiler_common::shared::{CODE_SLOTS, STACK_SLOTS};

use super::KernelError;

/// The caches of what each CPU has sent: direct-mapped, 0 where there is nothing.
pub struct Sent {
    stacks: MapData,
    code: MapData,
    /// Nothing, for each CPU that there may be.
    nothing: Vec<u64>,
}

impl Sent {
    /// Over the maps.
    ///
    /// # Errors
    /// Where these are no such maps, or the system does not tell how many CPUs there may be.
    pub fn new(stacks: Map, code: Map) -> Result<Self, KernelError> {
        let (Map::PerCpuArray(stacks), Map::PerCpuArray(code)) = (stacks, code) else {
            return Err(KernelError::Incomplete("SENT_STACKS"));
        };
        let cpus = nr_cpus().map_err(|(_, error)| KernelError::Cpus(error))?;
        Ok(Self {
            stacks,
            code,
            nothing: vec![0; cpus],
        })
    }

    /// Has every CPU send these stacks and code objects again when it meets them. Others that share a slot with them
    /// are sent again too, which does no harm.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn forget(
        &self,
        stacks: impl IntoIterator<Item = u64>,
        code: impl IntoIterator<Item = u64>,
    ) -> Result<(), KernelError> {
        for slot in slots(stacks, STACK_SLOTS) {
            self.clear(&self.stacks, slot)?;
        }
        for slot in slots(code, CODE_SLOTS) {
            self.clear(&self.code, slot)?;
        }
        Ok(())
    }

    /// Clears a slot on every CPU: a word each, which the kernel writes at once (`bpf_percpu_array_update`, Linux
    /// kernel/bpf/arraymap.c).
    fn clear(&self, map: &MapData, slot: u32) -> Result<(), KernelError> {
        /// What `BPF_MAP_UPDATE_ELEM` takes of `union bpf_attr` (Linux include/uapi/linux/bpf.h).
        #[repr(C)]
        struct Update {
            map: u32,
            padding: u32,
            key: u64,
            value: u64,
            flags: u64,
        }
        const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
        let update = Update {
            map: map.fd().as_fd().as_raw_fd().cast_unsigned(),
            padding: 0,
            key: (&raw const slot).addr() as u64,
            value: self.nothing.as_ptr().addr() as u64,
            flags: 0,
        };
        // aya's own looks up the number of CPUs each time, and there are thousands of slots.
        // SAFETY: the key is a live u32, the value one word for each CPU that there may be, as this kind of map has
        // them; the kernel only reads all three.
        let result = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                BPF_MAP_UPDATE_ELEM,
                &raw const update,
                size_of::<Update>(),
            )
        };
        if result == 0 {
            Ok(())
        } else {
            let error = SyscallError {
                call: "bpf_map_update_elem",
                io_error: io::Error::last_os_error(),
            };
            Err(MapError::from(error).into())
        }
    }
}

/// The slots of these ids, each once.
fn slots(ids: impl IntoIterator<Item = u64>, count: u32) -> Vec<u32> {
    let mut slots: Vec<u32> = ids.into_iter().map(|id| id as u32 & (count - 1)).collect();
    slots.sort_unstable();
    slots.dedup();
    slots
}

#[cfg(test)]
mod tests {
    use super::slots;

    /// Makes sure that each slot is cleared once, and that it is the one in which the kernel side looks: the lower bits.
    #[test]
    fn each_slot_once() {
        assert_eq!(slots([0xf_0001, 0x1, 0x2_0007], 16), [1, 7]);
        assert_eq!(slots([], 16), [0_u32; 0]);
    }
}
