//! Rights that a thread lacks are named one by one; memory that is locked is there. A process of its own, since memory is
//! locked for a whole process.
#![cfg(not(miri))]
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![expect(unsafe_code, reason = "nix has no capset, by which a thread gives up a right")]

use audyn_sys::{RealtimeRequest, Slab, realtime};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};

const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_NICE: u32 = 23;

/// linux/capability.h: header and two data structs of version 3.
#[repr(C)]
struct Header {
    version: u32,
    thread: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Set {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Gives up capabilities of the calling thread.
fn give_up(capabilities: &[u32]) {
    let mut header = Header { version: 0x2008_0522, thread: 0 };
    let mut sets = [Set::default(); 2];
    // SAFETY: version 3 reads one header and writes two sets; both are live and laid out as the kernel's.
    let got = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) };
    assert_eq!(got, 0, "a thread's own capabilities can be read");
    for capability in capabilities {
        sets[0].effective &= !(1 << capability);
    }
    // SAFETY: as above; the sets are only read.
    let set = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, sets.as_ptr()) };
    assert_eq!(set, 0, "what one has can be given up");
}

/// What a thread that gave up these is refused.
fn refused(capabilities: &'static [u32], wanted: RealtimeRequest) -> Vec<String> {
    let thread = std::thread::spawn(move || {
        give_up(capabilities);
        wanted.apply().iter().map(ToString::to_string).collect()
    });
    thread.join().unwrap()
}

fn soft(resource: Resource) -> u64 {
    getrlimit(resource).unwrap().0
}

#[test]
fn each_missing_right_is_named_and_the_others_hold() {
    let wanted = RealtimeRequest { fifo_priority: Some(1), cpu: None, lock_memory: false };
    let text = refused(&[CAP_SYS_NICE], wanted).join("\n");
    if soft(Resource::RLIMIT_RTPRIO) == 0 {
        assert!(text.contains("CAP_SYS_NICE (AmbientCapabilities=) or RLIMIT_RTPRIO"), "{text}");
        assert!(text.contains("now 0") && text.contains("ordinary priority"), "{text}");
    } else {
        assert_eq!(text, "", "the limit grants it");
    }

    let wanted = RealtimeRequest { fifo_priority: None, cpu: None, lock_memory: true };
    if soft(Resource::RLIMIT_MEMLOCK) != libc::RLIM_INFINITY {
        let text = refused(&[CAP_IPC_LOCK], wanted).join("\n");
        assert!(text.contains("CAP_IPC_LOCK (AmbientCapabilities=) or RLIMIT_MEMLOCK"), "{text}");
    }

    let all = RealtimeRequest { fifo_priority: Some(1), cpu: Some(usize::MAX), lock_memory: false };
    let refusals = refused(&[CAP_SYS_NICE, CAP_IPC_LOCK], all);
    assert!(refusals.iter().any(|text| text.contains("AllowedCPUs=")), "{refusals:?}");
}

/// Page faults of the calling thread so far.
fn page_faults() -> i64 {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    usage.minor_page_faults() + usage.major_page_faults()
}

/// A call that needs `BYTES` of stack.
#[inline(never)]
fn deep<const BYTES: usize>() -> u8 {
    let mut room = [0u8; BYTES];
    std::hint::black_box(&mut room)[BYTES / 2]
}

#[test]
fn memory_that_is_locked_and_stacks_that_were_touched_are_present() {
    let touched = std::thread::spawn(|| {
        realtime::prefault_stack();
        let before = page_faults();
        let _ = deep::<{ 48 * 1024 }>();
        page_faults() - before
    });
    assert_eq!(touched.join().unwrap(), 0, "without any right");

    if let Err(error) = realtime::lock_memory() {
        println!("path: {error}");
        return;
    }
    println!("path: memory was locked");
    // All that comes later is present when it is there: a thread's whole stack, a mapping, a heap that grows.
    let later = std::thread::spawn(|| {
        let (slab, mut slots) = Slab::new(256, 1_536).unwrap();
        let mut heap: Vec<u8> = Vec::with_capacity(16 << 20);
        let before = page_faults();
        let _ = deep::<{ 1024 * 1024 }>();
        for slot in &mut slots {
            slab.bytes_mut(slot).fill(1);
        }
        heap.resize(16 << 20, 1);
        page_faults() - before
    });
    assert_eq!(later.join().unwrap(), 0);
    nix::sys::mman::munlockall().unwrap();
}
