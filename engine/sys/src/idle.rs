//! Disk I/O that waits for everybody else's.
//!
//! Owns: one system call. Never: insists; a disk whose scheduler knows no classes serves all alike.

use std::io;

/// `IOPRIO_WHO_PROCESS`; with the number 0 it means the calling thread (ioprio_set(2)).
const THREAD: i32 = 1;

/// `IOPRIO_CLASS_IDLE`, shifted to where a class stands.
const IDLE: i32 = 3 << 13;

/// Has the calling thread's reads and writes served when nobody else's wait.
///
/// # Errors
/// What the system says; then they are served like any.
pub fn idle_io() -> io::Result<()> {
    // SAFETY: ioprio_set takes three numbers and touches no memory of ours.
    let done = unsafe { libc::syscall(libc::SYS_ioprio_set, THREAD, 0, IDLE) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore)]
    fn a_thread_stands_behind_the_others_and_its_neighbour_does_not() {
        // SAFETY: ioprio_get takes two numbers.
        let class = || unsafe { libc::syscall(libc::SYS_ioprio_get, THREAD, 0) };
        let before = class();
        let idle = std::thread::spawn(move || {
            idle_io().unwrap();
            class()
        });
        assert_eq!(idle.join().unwrap(), i64::from(IDLE));
        assert_eq!(class(), before);
    }
}
