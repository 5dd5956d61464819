//! Cgroups that are made while a filter waits for some.

use aya_ebpf::{
    helpers::bpf_probe_read_kernel_str_bytes, macros::raw_tracepoint,
    programs::RawTracePointContext,
};
use profiler_common::{
    record::{CGROUP_PATH_BYTES, Cgroup, kind},
    shared::event,
};

use crate::{
    config, filter,
    kernel_memory::read,
    maps,
    output::{self, To, Wake},
};

/// `cgroup_mkdir(cgroup, path)`: user space learns of a cgroup before anything can run in it, and adds it to
/// the filter's places if it is one of those that are waited for.
#[raw_tracepoint(tracepoint = "cgroup_mkdir")]
pub fn cgroup_mkdir(ctx: RawTracePointContext) -> i32 {
    if report(ctx.arg(0), ctx.arg(1)).is_none() {
        // User space then looks for itself.
        output::count(event::NEWS_LOST);
    }
    0
}

#[inline(always)]
fn report(cgroup: u64, path: u64) -> Option<()> {
    let record = maps::CGROUP.get_ptr_mut(0)?;
    // SAFETY: per-CPU memory that only this program uses, which runs with a lock of the kernel's held over
    // `path` (`TRACE_CGROUP_PATH`, Linux kernel/cgroup/cgroup-internal.h).
    let record = unsafe { &mut *record };
    let root: u64 = read(cgroup, config::CGROUP_ROOT.load())?;
    // SAFETY: the helper checks the address.
    let bytes = unsafe { bpf_probe_read_kernel_str_bytes(path as *const u8, &mut record.path) }
        .ok()?
        .len();
    record.cgroup = Cgroup {
        kind: kind::CGROUP,
        padding: 0,
        hierarchy: read(root, config::ROOT_HIERARCHY.load())?,
        level: read(cgroup, config::CGROUP_LEVEL.load())?,
        path_bytes: bytes as u32,
        id: filter::id(cgroup)?,
    };
    let bytes = if bytes > CGROUP_PATH_BYTES {
        CGROUP_PATH_BYTES
    } else {
        bytes
    };
    let whole = size_of::<Cgroup>() as u64 + bytes as u64;
    // SAFETY: the path lies right behind the header, with room for its longest.
    unsafe {
        let data = core::ptr::from_ref(record).cast();
        output::send(To::News, data, whole, Wake::Now)
    }
    .ok()
}
