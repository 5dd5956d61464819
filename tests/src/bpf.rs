//! Which BPF programs and maps the kernel holds.

use std::{collections::BTreeSet, io};

// Commands of bpf(2), from the kernel's include/uapi/linux/bpf.h.
const BPF_PROG_GET_NEXT_ID: libc::c_long = 11;
const BPF_MAP_GET_NEXT_ID: libc::c_long = 12;

/// The part of `union bpf_attr` that these commands use.
#[repr(C)]
#[derive(Default)]
struct GetNextId {
    start_id: u32,
    next_id: u32,
    open_flags: u32,
}

/// The ids of all loaded programs.
///
/// # Errors
/// Where the kernel does not tell.
pub fn programs() -> io::Result<BTreeSet<u32>> {
    ids(BPF_PROG_GET_NEXT_ID)
}

/// The ids of all maps.
///
/// # Errors
/// Where the kernel does not tell.
pub fn maps() -> io::Result<BTreeSet<u32>> {
    ids(BPF_MAP_GET_NEXT_ID)
}

fn ids(command: libc::c_long) -> io::Result<BTreeSet<u32>> {
    let mut ids = BTreeSet::new();
    let mut attributes = GetNextId::default();
    loop {
        // SAFETY: the attributes are a live, writable structure of the size that is passed.
        let result = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                command,
                &raw mut attributes,
                size_of::<GetNextId>(),
            )
        };
        if result != 0 {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(libc::ENOENT) => Ok(ids),
                _ => Err(error),
            };
        }
        ids.insert(attributes.next_id);
        attributes.start_id = attributes.next_id;
    }
}
