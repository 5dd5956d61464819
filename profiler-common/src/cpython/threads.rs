//! Finding the Python thread state of the running thread without libc's help: by matching the thread
//! list's `thread_id`, which is pthread_self(), which on x86-64 is the thread pointer.

use super::layout::{Layout, feature};
use crate::memory::{Fault, Memory, Window};

/// Where a search through interpreters and their threads is.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Search {
    /// The interpreter state whose threads are being looked at.
    pub interpreter: u64,
    /// The thread state to look at next; 0: at the end of this interpreter's list.
    pub thread: u64,
    /// A thread state that carries the id but is not attached: taken where no attached one is found.
    pub candidate: u64,
    /// The list's head as long as no further interpreter has been met; else 0.
    pub alone: u64,
}

/// Which thread, and where its process says something about threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// The thread's pointer: pthread_self().
    pub thread_pointer: u64,
    /// Address of the pointer to the first interpreter state, or 0.
    pub interpreters: u64,
    /// Address of the pointer to the thread state that holds the GIL (up to 3.11), or 0.
    pub current_thread: u64,
}

/// What is remembered of a thread's state from one sample to the next.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Its address.
    pub state: u64,
    /// The interpreter that was the only one when the lists were searched to their end; 0: there were others, or
    /// the search ended before.
    pub alone: u64,
}

/// What a step of the search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchStep {
    /// The thread state; it is in the window.
    Found(u64),
    /// Nothing yet.
    More,
    /// No thread state carries this id.
    NotFound,
    /// Memory could not be read.
    Unreadable,
}

/// Whether the thread state in `window` is that of the thread with this pointer.
#[inline(always)]
#[must_use]
pub fn matches(layout: &Layout, thread_pointer: u64, window: &Window) -> bool {
    window.u64(layout.thread_id) == thread_pointer
}

/// Whether the thread state in `window` is attached, as far as the layout can tell. One that is not may
/// be that of a thread which has let go of the GIL, or one of several that a thread has.
#[inline(always)]
#[must_use]
pub fn is_attached(layout: &Layout, window: &Window) -> bool {
    layout.features & feature::THREAD_ACTIVE == 0
        || window.u32(layout.thread_active) & layout.thread_active_mask
            == layout.thread_active_value
}

/// The state that the thread is in now, where what is remembered tells; it is then in `window`.
///
/// A thread that enters another interpreter has a state in each, all with its id. Where the state that it was in
/// is not attached any more, there are three cases. Up to 3.11 the runtime says which state holds the GIL. From
/// 3.12 on, a thread has no other where there is but one interpreter: new ones are put at the list's head, so that
/// one word tells. Else the lists must be searched again. With one interpreter, too, someone may have made a second
/// state, which is rare: `recent` says that the lists were searched a moment ago.
#[inline(always)]
pub fn recall<M: Memory>(
    memory: &M,
    layout: &Layout,
    thread: Whereabouts,
    remembered: Remembered,
    recent: bool,
    window: &mut Window,
) -> Option<u64> {
    if thread.current_thread != 0 {
        let holder = memory.read_word(thread.current_thread).unwrap_or(0);
        if holder != 0
            && holder != remembered.state
            && memory
                .read(holder, window, u32::from(layout.thread_span))
                .is_ok()
            && matches(layout, thread.thread_pointer, window)
        {
            return Some(holder);
        }
    }
    let same = memory
        .read(remembered.state, window, u32::from(layout.thread_span))
        .is_ok()
        && matches(layout, thread.thread_pointer, window)
        && (is_attached(layout, window)
            || recent
                && remembered.alone != 0
                && memory.read_word(thread.interpreters) == Ok(remembered.alone));
    same.then_some(remembered.state)
}

/// The lower half of the id of the interpreter whose thread state is in `window`; 0: the main one, or the layout
/// does not say. `main` remembers where the main one lies, which never moves.
#[inline(always)]
pub fn interpreter<M: Memory>(memory: &M, layout: &Layout, main: &mut u64, window: &Window) -> u32 {
    let interpreter = window.u64(layout.thread_interpreter);
    if layout.thread_interpreter == 0 || interpreter == *main {
        return 0;
    }
    match memory.read_word(interpreter.wrapping_add(u64::from(layout.interpreter_id))) {
        Ok(0) => {
            *main = interpreter;
            0
        }
        Ok(id) => id as u32,
        Err(Fault) => 0,
    }
}

/// The thread state that holds the GIL, where the interpreter publishes it (up to 3.11) and it is this
/// thread's. Among several states with one thread id, this is the attached one.
#[inline(always)]
pub fn current<M: Memory>(
    memory: &M,
    layout: &Layout,
    current_thread: u64,
    thread_pointer: u64,
    window: &mut Window,
) -> Option<u64> {
    if current_thread == 0 {
        return None;
    }
    let thread = memory.read_word(current_thread).ok()?;
    if thread == 0
        || memory
            .read(thread, window, u32::from(layout.thread_span))
            .is_err()
    {
        return None;
    }
    (window.u64(layout.thread_id) == thread_pointer).then_some(thread)
}

/// Begins a search at the list of interpreters. `Ok(None)`: there is no interpreter.
///
/// # Errors
/// [`Fault`] where the list's head cannot be read.
#[inline(always)]
pub fn begin<M: Memory>(
    memory: &M,
    layout: &Layout,
    interpreters: u64,
) -> Result<Option<Search>, Fault> {
    let interpreter = if interpreters == 0 {
        0
    } else {
        memory.read_word(interpreters)?
    };
    if interpreter == 0 {
        return Ok(None);
    }
    let thread =
        memory.read_word(interpreter.wrapping_add(u64::from(layout.interpreter_threads)))?;
    Ok(Some(Search {
        interpreter,
        thread,
        candidate: 0,
        alone: interpreter,
    }))
}

/// Looks at one thread state, or goes on to the next interpreter.
#[inline(always)]
pub fn step<M: Memory>(
    memory: &M,
    layout: &Layout,
    thread_pointer: u64,
    window: &mut Window,
    search: &mut Search,
) -> SearchStep {
    if search.thread == 0 {
        let at = search
            .interpreter
            .wrapping_add(u64::from(layout.interpreter_next));
        let next = match memory.read_word(at) {
            Ok(next) => next,
            // A page of the main interpreter's state that nobody has touched yet is not present: there
            // is no further interpreter.
            Err(Fault) if search.candidate != 0 => 0,
            Err(Fault) => return SearchStep::Unreadable,
        };
        if next == 0 {
            return finish(memory, layout, window, search);
        }
        let Ok(thread) = memory.read_word(next.wrapping_add(u64::from(layout.interpreter_threads)))
        else {
            return SearchStep::Unreadable;
        };
        search.interpreter = next;
        search.thread = thread;
        search.alone = 0;
        return SearchStep::More;
    }
    let thread = search.thread;
    if memory
        .read(thread, window, u32::from(layout.thread_span))
        .is_err()
    {
        return SearchStep::Unreadable;
    }
    if window.u64(layout.thread_id) == thread_pointer {
        if is_attached(layout, window) {
            return SearchStep::Found(thread);
        }
        search.candidate = thread;
    }
    search.thread = window.u64(layout.thread_next);
    SearchStep::More
}

#[inline(always)]
fn finish<M: Memory>(
    memory: &M,
    layout: &Layout,
    window: &mut Window,
    search: &Search,
) -> SearchStep {
    if search.candidate == 0 {
        return SearchStep::NotFound;
    }
    match memory.read(search.candidate, window, u32::from(layout.thread_span)) {
        Ok(()) => SearchStep::Found(search.candidate),
        Err(Fault) => SearchStep::Unreadable,
    }
}
