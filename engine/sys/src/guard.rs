//! An allocator for tests: the system's, that ends the process when a thread allocates or frees which must not.
//!
//! Owns: the marks of such threads, and the message. Never: part of a product; the feature `guard` is for tests only.
//!
//! A test binary makes it its allocator and marks a thread by its number, or a stretch of its own code:
//!
//! ```text
//! #[global_allocator]
//! static ALLOCATOR: audyn_sys::guard::GuardedAllocator = audyn_sys::guard::GuardedAllocator;
//! ```
//!
//! It aborts and does not panic: a panic allocates, and would be caught by whoever joins the thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write as _;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

/// The kernel's number of the thread that is marked from outside; 0 for none.
static MARKED: AtomicI32 = AtomicI32::new(0);

thread_local! {
    // Both are constants without a destructor, so the allocator may read them at any instant of a thread's life.
    /// How many stretches of [`without_allocation`] the thread is in.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// The kernel's number of this thread, once asked for.
    static NUMBER: Cell<i32> = const { Cell::new(0) };
}

/// A thread is marked as long as this lives.
#[derive(Debug)]
#[must_use = "the mark goes with it"]
pub struct Mark(());

impl Mark {
    /// Marks a thread of this process by its number in `/proc/self/task`: from now on it may neither allocate nor free.
    ///
    /// # Panics
    /// If another thread is marked: there is one mark.
    pub fn on(thread: i32) -> Self {
        let before = MARKED.compare_exchange(0, thread, Relaxed, Relaxed);
        assert_eq!(before, Ok(0), "one thread at a time is marked from outside");
        Self(())
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        MARKED.store(0, Relaxed);
    }
}

/// Runs `f`, which may neither allocate nor free, on this thread.
pub fn without_allocation<T>(f: impl FnOnce() -> T) -> T {
    nested(DEPTH.get() + 1, f)
}

/// Runs `f` freely within [`without_allocation`]: what a callback of the code under test does is the test's own.
pub fn with_allocation<T>(f: impl FnOnce() -> T) -> T {
    nested(0, f)
}

fn nested<T>(depth: u32, f: impl FnOnce() -> T) -> T {
    struct Restore(u32);
    impl Drop for Restore {
        fn drop(&mut self) {
            DEPTH.set(self.0);
        }
    }
    let _restore = Restore(DEPTH.replace(depth));
    f()
}

/// Whether the calling thread is in a stretch or is the marked one.
fn is_forbidden() -> bool {
    if DEPTH.get() > 0 {
        return true;
    }
    let marked = MARKED.load(Relaxed);
    if marked == 0 {
        return false;
    }
    if NUMBER.get() == 0 {
        NUMBER.set(nix::unistd::gettid().as_raw());
    }
    NUMBER.get() == marked
}

/// Says what was done and where, and ends the process.
#[cold]
fn caught(what: &str, bytes: usize) -> ! {
    // What follows allocates, so all marks go first.
    DEPTH.set(0);
    MARKED.store(0, Relaxed);
    let place = std::backtrace::Backtrace::force_capture();
    let thread = std::fs::read_to_string("/proc/thread-self/comm").unwrap_or_default();
    // Not `eprintln`, which a test harness keeps to itself until the end that does not come.
    let _ = writeln!(
        std::io::stderr(),
        "thread {} {what} {bytes} bytes, and it must not allocate or free any more:\n{place}",
        thread.trim()
    );
    std::process::abort()
}

/// The system's allocator, behind the marks.
#[derive(Debug, Clone, Copy, Default)]
pub struct GuardedAllocator;

// SAFETY: every call goes to `System` unchanged, which keeps the trait's contract; what stands before it touches no
// memory of the allocator, and does not unwind but aborts.
unsafe impl GlobalAlloc for GuardedAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_forbidden() {
            caught("allocated", layout.size());
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_forbidden() {
            caught("allocated", layout.size());
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        if is_forbidden() {
            caught("allocated anew", bytes);
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(place, layout, bytes) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        if is_forbidden() {
            caught("freed", layout.size());
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(place, layout) }
    }
}
