//! Takes in a [`Stream`](super::stream::Stream) as a recording takes in ring buffers, without a kernel and without the
//! processes that it is of.

use std::{sync::Arc, time::Duration};

use profiler_common::cpython::layout::Layout;
use zerocopy::FromZeros;

use super::{
    Options, collector::Collector, discovery::Scope, finish, stream::Process, tracked::Tracked,
};
use crate::{
    host::{containers, process::Description},
    interpreter::{process::Interpreter, version::PythonVersion},
    profile::{memory::Memory, model::Profile},
};

/// A process of a stream, for [`Collector::track`]: no more is known of its interpreter than names and lines want.
#[must_use]
pub fn tracked(process: &Process) -> Tracked {
    let layout = Layout {
        line_table: process.line_table as u8,
        ..Layout::new_zeroed()
    };
    Tracked {
        generation: process.generation,
        interpreter: Some(Arc::new(Interpreter {
            version: PythonVersion::release(3, 0, 0),
            path: String::new(),
            layout,
            interpreters: 0,
            current_thread: 0,
            code_type: 0,
            beside: Vec::new(),
        })),
        ..Tracked::new(process.pid, 0, Arc::new(Description::default()))
    }
}

/// Puts the profile together, as at the end of a recording.
#[must_use]
pub fn finish(mut collector: Collector) -> Profile {
    collector.tidy(collector.ends());
    for thread in collector.scale.threads() {
        collector.settle(thread, None, 0);
    }
    collector.close();
    let rate_hz = 1_000_000_000_u64.checked_div(collector.period_ns);
    finish::profile(
        &collector,
        &finish::About {
            options: &Options::new(Scope::All, rate_hz.unwrap_or(0)),
            started: std::time::SystemTime::UNIX_EPOCH,
            duration: Duration::ZERO,
            cpus: 0,
            bpf: None,
            budget: None,
            memory: Memory::default(),
            containers: containers::Names::default(),
        },
    )
}
