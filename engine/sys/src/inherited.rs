//! Descriptors that the service manager kept while no process of the service ran (sd_listen_fds(3)).
//!
//! Owns: taking them over, once. Never: says what they are; whoever uses one checks it ([`crate::FlowSocket::adopt`]).

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// The first descriptor that a manager passes: SD_LISTEN_FDS_START.
const FIRST: RawFd = 3;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// The descriptors that the service manager passed to this process, each with the name under which it was stored. They are this
/// process's from now on, and close on exec; a second call finds none. To be called before the program opens anything: only
/// then do the numbers that the manager named surely mean what it passed.
pub fn inherited() -> Vec<(String, OwnedFd)> {
    let variable = |name: &str| std::env::var(name).ok();
    let own = variable("LISTEN_PID").and_then(|pid| pid.parse().ok()) == Some(std::process::id());
    let count = variable("LISTEN_FDS").and_then(|count| count.parse::<u16>().ok()).unwrap_or(0);
    if !own || TAKEN.swap(true, Relaxed) {
        return Vec::new();
    }
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').map(str::to_owned);
    let numbers = FIRST..FIRST + RawFd::from(count);
    numbers
        .filter_map(|number| {
            let name = names.next().unwrap_or_default();
            take(number).map(|descriptor| (name, descriptor))
        })
        .collect()
}

/// Takes one over, if it is open.
#[expect(unsafe_code, reason = "a number from the environment becomes a descriptor")]
fn take(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: asks for the flags of a number, whatever it is; what isn't open is an error.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: the number is an open descriptor which the manager opened for this very process (LISTEN_PID) and nobody in it
    // owns: `TAKEN` lets each be taken once, and nothing else in the workspace takes descriptors from the environment.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl(&descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).ok()?;
    Some(descriptor)
}
