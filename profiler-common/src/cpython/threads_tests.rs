//! The search for thread states over images of processes whose truth is written down here.

use super::{
    image::Image,
    layout::{Layout, feature},
    threads::{self, Remembered, SearchStep, Whereabouts},
};
use crate::memory::{Memory as _, Window};

const INTERPRETERS: u64 = 0x100;
const CURRENT: u64 = 0x200;
const MAIN: u64 = 0x1000;
const SUB: u64 = 0x2000;
const THREAD: u64 = 0x7777;
const ATTACHED: u64 = 1 << 4;
const DELETED: u64 = 1 << 2;

/// Offsets like those of 3.12, or without the status, of a version before it.
fn layout(active: bool) -> Layout {
    // SAFETY: a layout is made of integers, for which all zeroes is a value.
    let mut layout: Layout = unsafe { core::mem::zeroed() };
    layout.interpreter_id = 8;
    layout.interpreter_threads = 72;
    layout.thread_span = 40;
    layout.thread_next = 8;
    layout.thread_interpreter = 16;
    layout.thread_id = 32;
    if active {
        layout.features = feature::THREAD_ACTIVE;
        layout.thread_active = 24;
        layout.thread_active_mask = (ATTACHED | DELETED) as u32;
        layout.thread_active_value = ATTACHED as u32;
    }
    layout
}

fn interpreter(image: &mut Image, address: u64, next: u64, id: u64, threads: u64) {
    image.put(address, next);
    image.put(address + 8, id);
    image.put(address + 72, threads);
}

fn state(image: &mut Image, address: u64, next: u64, interpreter: u64, status: u64, id: u64) {
    image.zero(address, 40);
    image.put(address + 8, next);
    image.put(address + 16, interpreter);
    image.put(address + 24, status);
    image.put(address + 32, id);
}

const MAIN_STATE: u64 = 0x3000;
const OTHER_STATE: u64 = 0x4000;
const SUB_STATE: u64 = 0x5000;

/// One interpreter with the thread and another one.
fn alone(status: u64) -> Image {
    let mut image = Image::default();
    image.put(INTERPRETERS, MAIN);
    image.put(CURRENT, MAIN_STATE);
    interpreter(&mut image, MAIN, 0, 0, OTHER_STATE);
    state(&mut image, OTHER_STATE, MAIN_STATE, MAIN, 0, 0x8888);
    state(&mut image, MAIN_STATE, 0, MAIN, status, THREAD);
    image
}

/// Two interpreters, in both of which the thread has a state.
fn two(main: u64, sub: u64) -> Image {
    let mut image = alone(main);
    image.put(INTERPRETERS, SUB);
    interpreter(&mut image, SUB, MAIN, 1, SUB_STATE);
    state(&mut image, SUB_STATE, 0, SUB, sub, THREAD);
    image
}

/// Searches to the end: the state, and whether its interpreter was alone.
fn search(image: &Image, layout: &Layout) -> (Option<u64>, u64) {
    let mut search = threads::begin(image, layout, INTERPRETERS)
        .expect("a list")
        .expect("an interpreter");
    let mut window = Window::new();
    for _ in 0..20 {
        match threads::step(image, layout, THREAD, &mut window, &mut search) {
            SearchStep::More => {}
            SearchStep::Found(state) => return (Some(state), search.alone),
            SearchStep::NotFound => return (None, search.alone),
            SearchStep::Unreadable => panic!("unreadable"),
        }
    }
    panic!("the search does not end")
}

fn recall(
    image: &Image,
    layout: &Layout,
    current_thread: u64,
    state: u64,
    alone: u64,
    recent: bool,
) -> Option<u64> {
    let thread = Whereabouts {
        thread_pointer: THREAD,
        interpreters: INTERPRETERS,
        current_thread,
    };
    threads::recall(
        image,
        layout,
        thread,
        Remembered { state, alone },
        recent,
        &mut Window::new(),
    )
}

/// Makes sure that of the states that a thread has in several interpreters the attached one is found.
#[test]
fn the_attached_state_is_found() {
    let layout = layout(true);
    assert_eq!(search(&two(0, ATTACHED), &layout).0, Some(SUB_STATE));
    assert_eq!(search(&two(ATTACHED, 0), &layout).0, Some(MAIN_STATE));
    assert_eq!(search(&alone(0), &layout), (Some(MAIN_STATE), MAIN));
    assert_eq!(search(&two(0, 0), &layout).1, 0, "not alone");
}

/// Makes sure that a state that was deleted while it was attached is not taken for attached.
#[test]
fn a_deleted_state_is_not_attached() {
    let layout = layout(true);
    let found = search(&two(ATTACHED, ATTACHED | DELETED), &layout).0;
    assert_eq!(found, Some(MAIN_STATE));
    let image = two(ATTACHED, ATTACHED | DELETED);
    assert_eq!(recall(&image, &layout, 0, SUB_STATE, 0, true), None);
}

/// Makes sure that a state is remembered as long as it is attached, and beyond that only where the thread cannot
/// be in another interpreter.
#[test]
fn what_is_remembered_is_not_stale() {
    let layout = layout(true);
    let attached = alone(ATTACHED);
    let known = Some(MAIN_STATE);
    assert_eq!(recall(&attached, &layout, 0, MAIN_STATE, 0, false), known);
    // It let go of the GIL, and there is but one interpreter.
    let detached = alone(0);
    assert_eq!(recall(&detached, &layout, 0, MAIN_STATE, MAIN, true), known);
    assert_eq!(recall(&detached, &layout, 0, MAIN_STATE, MAIN, false), None);
    assert_eq!(recall(&detached, &layout, 0, MAIN_STATE, 0, true), None);
    // There is a new one, and the thread has entered it.
    let entered = two(0, ATTACHED);
    assert_eq!(recall(&entered, &layout, 0, MAIN_STATE, MAIN, true), None);
    // The memory belongs to another thread by now.
    assert_eq!(recall(&attached, &layout, 0, OTHER_STATE, 0, true), None);
}

/// Makes sure that up to 3.11 the runtime's word decides, as long as it names a state of this thread.
#[test]
fn the_holder_of_the_gil_decides() {
    let layout = layout(false);
    let mut image = two(0, 0);
    let known = |image: &Image, state| recall(image, &layout, CURRENT, state, 0, false);
    assert_eq!(known(&image, SUB_STATE), Some(MAIN_STATE));
    image.put(CURRENT, SUB_STATE);
    assert_eq!(known(&image, MAIN_STATE), Some(SUB_STATE));
    // Another thread holds it, or nobody does.
    for holder in [OTHER_STATE, 0] {
        image.put(CURRENT, holder);
        assert_eq!(known(&image, SUB_STATE), Some(SUB_STATE));
    }
}

/// Makes sure that an interpreter is told by its id, and that the main one is asked for it only once.
#[test]
fn interpreters_are_told_by_their_id() {
    let layout = layout(true);
    let mut image = two(0, ATTACHED);
    let mut main = 0;
    let of = |image: &Image, state: u64, main: &mut u64| {
        let mut window = Window::new();
        image.read(state, &mut window, 40).expect("a state");
        threads::interpreter(image, &layout, main, &window)
    };
    assert_eq!((of(&image, SUB_STATE, &mut main), main), (1, 0));
    assert_eq!((of(&image, MAIN_STATE, &mut main), main), (0, MAIN));
    image.put(MAIN + 8, 5);
    assert_eq!(of(&image, MAIN_STATE, &mut main), 0);
    assert_eq!(of(&image, SUB_STATE, &mut main), 1);
}
