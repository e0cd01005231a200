//! The rights of the capture thread: priority, a CPU of its own, memory that stays.
//!
//! Owns: asking for each of them, and the sentence that names the right that is missing.
//! Never: insists. A recorder without real-time rights still records; the caller tells the person and goes on.

use std::ffi::CString;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::unistd::Pid;

use crate::SysError;

/// Bits of the capability sets (capabilities(7), linux/capability.h).
const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_NICE: u32 = 23;

/// What is wanted for a real-time thread; the default asks for nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RealtimeRequest {
    /// SCHED_FIFO at this priority, 1 to 99.
    pub fifo_priority: Option<u8>,
    /// Run on this CPU alone.
    pub cpu: Option<usize>,
    /// Keep the whole process in memory.
    pub lock_memory: bool,
}

impl RealtimeRequest {
    /// Asks for all that is wanted, for the calling thread (memory: for the process). Returns what was refused, each
    /// with the right that is missing; the rest holds.
    #[must_use]
    pub fn apply(&self) -> Vec<SysError> {
        let memory = if self.lock_memory { lock_memory().err() } else { None };
        let cpu = self.cpu.and_then(|cpu| pin_to(cpu).err());
        let priority = self.fifo_priority.and_then(|priority| enter_fifo(priority).err());
        [memory, cpu, priority].into_iter().flatten().collect()
    }
}

/// Puts the calling thread under SCHED_FIFO. Threads and processes that it starts later are ordinary again.
///
/// # Errors
/// [`SysError::Fifo`]; the thread keeps its ordinary scheduling.
pub fn enter_fifo(priority: u8) -> Result<(), SysError> {
    let error = match set_fifo(priority) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let remedy = match error {
        Errno::EINVAL => "use a priority from 1 to 99".to_owned(),
        Errno::EPERM if holds(CAP_SYS_NICE) => {
            "CAP_SYS_NICE is there, so the control group has no real-time budget: set its cpu.rt_runtime_us, or start \
             the service in the root group"
                .to_owned()
        }
        Errno::EPERM => format!(
            "give the service CAP_SYS_NICE (AmbientCapabilities=) or RLIMIT_RTPRIO of at least {priority} \
             (LimitRTPRIO=, now {}); until then it runs at ordinary priority",
            limit(Resource::RLIMIT_RTPRIO)
        ),
        _ => "allow sched_setscheduler in the service's sandbox (RestrictRealtime=no)".to_owned(),
    };
    Err(SysError::Fifo { priority, remedy, source: error.into() })
}

#[expect(unsafe_code, reason = "nix has no sched_setscheduler")]
fn set_fifo(priority: u8) -> Result<(), Errno> {
    // SAFETY: all-zero is a valid sched_param, which in some C libraries has more fields than the priority.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = priority.into();
    // SAFETY: the pointer leads to a live sched_param, which the call only reads; pid 0 is the calling thread.
    let result = unsafe {
        libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameters)
    };
    Errno::result(result).map(drop)
}

/// Runs the calling thread on one CPU only.
///
/// # Errors
/// [`SysError::Pin`] if that CPU doesn't exist or isn't allowed to this process.
pub fn pin_to(cpu: usize) -> Result<(), SysError> {
    let this_thread = Pid::from_raw(0);
    let pinned = (|| {
        let mut set = CpuSet::new();
        set.set(cpu)?;
        sched_setaffinity(this_thread, &set)
    })();
    pinned.map_err(|error| {
        let allowed = sched_getaffinity(this_thread).map_or_else(|_| "unknown".to_owned(), |set| list(&set));
        let remedy = format!(
            "the CPUs allowed to this process are {allowed} (AllowedCPUs=, CPUAffinity=); it goes on there unpinned"
        );
        SysError::Pin { cpu, remedy, source: error.into() }
    })
}

/// Keeps all memory of the process, present and future, from being paged out.
///
/// # Errors
/// [`SysError::LockMemory`] without the right to lock any amount. (Under a limit it is not even tried: the
/// lock would succeed today, and the allocation that crosses the limit tomorrow would end the process.)
pub fn lock_memory() -> Result<(), SysError> {
    let unlimited = getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft == RLIM_INFINITY);
    if !unlimited && !holds(CAP_IPC_LOCK) {
        let remedy = format!(
            "give the service CAP_IPC_LOCK (AmbientCapabilities=) or RLIMIT_MEMLOCK infinity (LimitMEMLOCK=, now {} \
             bytes)",
            limit(Resource::RLIMIT_MEMLOCK)
        );
        return Err(SysError::LockMemory { remedy });
    }
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE).map_err(|error| {
        let remedy = match error {
            Errno::ENOMEM => {
                "the machine has not that much memory: free some, or record fewer flows".to_owned()
            }
            _ => format!("allow mlockall in the service's sandbox, with CAP_IPC_LOCK ({error})"),
        };
        SysError::LockMemory { remedy }
    })
}

/// Touches the next 64 KiB of the calling thread's stack, so that it finds them present later. Where memory is locked they are
/// already; where that right is missing, a thread's first deep call would wait for a page.
#[inline(never)]
pub fn prefault_stack() {
    // Longer than any call path of the capture thread by far, and a small part of the 2 MiB that a thread has.
    let mut room = [0u8; 64 * 1024];
    std::hint::black_box(&mut room);
}

/// The CPUs that the kernel keeps for whoever asks (`isolcpus=`), ascending; empty if none.
///
/// # Errors
/// [`SysError::IsolatedCpus`] if the kernel's list can't be read.
pub fn isolated_cpus() -> Result<Vec<usize>, SysError> {
    let path = "/sys/devices/system/cpu/isolated";
    let text = std::fs::read_to_string(path)
        .map_err(|error| SysError::IsolatedCpus { detail: format!("{path}: {error}") })?;
    parse_cpu_list(&text)
        .ok_or_else(|| SysError::IsolatedCpus { detail: format!("{path} says {:?}", text.trim()) })
}

/// A thread of this process, as the kernel numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadId(Pid);

impl ThreadId {
    /// The calling thread.
    #[must_use]
    pub fn current() -> Self {
        Self(nix::unistd::gettid())
    }
}

/// How a thread runs, as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadState {
    /// Its priority under SCHED_FIFO; none under any other policy.
    pub fifo_priority: Option<u8>,
    /// The CPU that it ran on last.
    pub cpu: usize,
    /// The CPUs that it may run on, ascending.
    pub allowed: Vec<usize>,
}

/// How a thread of this process runs now; none if it has ended or `/proc` is not there.
#[must_use]
pub fn thread_state(thread: ThreadId) -> Option<ThreadState> {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{}/stat", thread.0)).ok()?;
    let (fifo_priority, cpu) = parse_stat(&stat)?;
    let set = sched_getaffinity(thread.0).ok()?;
    let allowed = (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu) == Ok(true)).collect();
    Some(ThreadState { fifo_priority, cpu, allowed })
}

/// Fields 39 to 41 of proc_pid_stat(5): processor, rt_priority, policy; counted after the name in brackets, field 2.
fn parse_stat(stat: &str) -> Option<(Option<u8>, usize)> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(36);
    let cpu = fields.next()?.parse().ok()?;
    let priority: u8 = fields.next()?.parse().ok()?;
    let policy: i32 = fields.next()?.parse().ok()?;
    Some(((policy == libc::SCHED_FIFO).then_some(priority), cpu))
}

/// Names the calling thread, for `ps -L`, `top -H` and the log.
///
/// # Errors
/// [`SysError::ThreadName`] unless it is 1 to 15 bytes without a NUL (prctl(2) would cut the rest silently).
pub fn set_thread_name(name: &str) -> Result<(), SysError> {
    let refused = || SysError::ThreadName { name: name.to_owned() };
    if !(1..=15).contains(&name.len()) {
        return Err(refused());
    }
    let name = CString::new(name).map_err(|_| refused())?;
    nix::sys::prctl::set_name(&name).map_err(|_| refused())
}

/// The kernel's list format: `2-3,5` (Documentation/admin-guide/cputopology.rst).
fn parse_cpu_list(text: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= CpuSet::count() {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

fn list(set: &CpuSet) -> String {
    let cpus: Vec<String> =
        (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu) == Ok(true)).map(|cpu| cpu.to_string()).collect();
    cpus.join(", ")
}

/// The soft limit, for people.
fn limit(resource: Resource) -> String {
    match getrlimit(resource) {
        Ok((soft, _)) if soft == RLIM_INFINITY => "infinity".to_owned(),
        Ok((soft, _)) => soft.to_string(),
        Err(error) => format!("unknown, {error}"),
    }
}

/// Whether the calling thread holds a capability; `false` if that can't be read.
fn holds(capability: u32) -> bool {
    std::fs::read_to_string("/proc/thread-self/status")
        .is_ok_and(|status| effective_capabilities(&status).is_some_and(|set| set & (1 << capability) != 0))
}

fn effective_capabilities(status: &str) -> Option<u64> {
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `f` on a thread of its own, so that what it changes ends with it.
    fn apart<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(f).join().unwrap()
    }

    #[test]
    fn fifo_is_entered_or_the_missing_right_is_named() {
        apart(|| match enter_fifo(1) {
            Ok(()) => {
                println!("path: SCHED_FIFO was granted");
                let priority = || thread_state(ThreadId::current()).unwrap().fifo_priority;
                assert_eq!(priority(), Some(1));
                // A child thread is ordinary again.
                assert_eq!(std::thread::spawn(priority).join().unwrap(), None);
            }
            Err(error) => {
                println!("path: {error}");
                let text = error.to_string();
                assert!(text.contains("priority 1") && text.contains("CAP_SYS_NICE"), "{text}");
            }
        });
    }

    #[test]
    fn a_priority_that_does_not_exist_is_told_so() {
        let error = apart(|| enter_fifo(100).unwrap_err());
        assert!(error.to_string().contains("from 1 to 99"), "{error}");
    }

    #[test]
    fn a_thread_is_pinned_to_an_allowed_cpu_and_to_no_other() {
        apart(|| {
            let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap();
            let cpu = (0..CpuSet::count()).find(|&cpu| allowed.is_set(cpu) == Ok(true)).unwrap();
            pin_to(cpu).unwrap();
            assert_eq!(list(&sched_getaffinity(Pid::from_raw(0)).unwrap()), cpu.to_string());
            let state = thread_state(ThreadId::current()).unwrap();
            assert_eq!((state.cpu, state.allowed), (cpu, vec![cpu]));
        });
        for cpu in [CpuSet::count() - 1, CpuSet::count(), usize::MAX] {
            let error = apart(move || pin_to(cpu).unwrap_err());
            assert!(error.to_string().contains("AllowedCPUs="), "{error}");
        }
    }

    #[test]
    fn memory_is_locked_or_the_missing_right_is_named() {
        match lock_memory() {
            Ok(()) => {
                println!("path: memory was locked");
                nix::sys::mman::munlockall().unwrap();
            }
            Err(error) => {
                println!("path: {error}");
                assert!(
                    error.to_string().contains("CAP_IPC_LOCK") || error.to_string().contains("memory: free")
                );
            }
        }
    }

    #[test]
    fn a_request_tells_each_refusal_and_goes_on() {
        let name = apart(|| {
            let wanted =
                RealtimeRequest { fifo_priority: Some(120), cpu: Some(usize::MAX), lock_memory: false };
            let refused: Vec<String> = wanted.apply().iter().map(ToString::to_string).collect();
            assert_eq!(refused.len(), 2, "{refused:?}");
            assert!(RealtimeRequest::default().apply().is_empty());
            set_thread_name("audyn-capture").unwrap();
            std::fs::read_to_string("/proc/thread-self/comm").unwrap()
        });
        assert_eq!(name.trim(), "audyn-capture");
    }

    #[test]
    fn how_a_thread_runs_is_read_behind_any_name() {
        let fifo = "12 (a) b) (c) S 1 1 1 0 -1 64 0 0 0 0 0 0 0 0 -51 0 9 0 1 2 3 4 5 6 7 8 9 10 0 0 0 0 0 0 -1 3 50 1 0 0";
        assert_eq!(parse_stat(fifo), Some((Some(50), 3)));
        assert_eq!(parse_stat(&fifo.replace("3 50 1 0 0", "0 0 0 0 0")), Some((None, 0)));
        assert_eq!(parse_stat(&fifo.replace("3 50 1 0 0", "2 50 2 0 0")), Some((None, 2)), "SCHED_RR");
        assert_eq!(parse_stat("12 (a) S 1"), None);
        let ended = std::thread::spawn(ThreadId::current).join().unwrap();
        assert!(thread_state(ended).is_none_or(|state| state.fifo_priority.is_none()));
    }

    #[test]
    fn a_thread_name_is_never_cut_silently() {
        for name in ["", "sixteen bytes ab", "a\0b"] {
            assert!(set_thread_name(name).unwrap_err().to_string().contains("1 to 15 bytes"));
        }
    }

    #[test]
    fn cpu_lists() {
        assert_eq!(parse_cpu_list("\n"), Some(vec![]));
        assert_eq!(parse_cpu_list("3\n"), Some(vec![3]));
        assert_eq!(parse_cpu_list("1-3,7,9-10\n"), Some(vec![1, 2, 3, 7, 9, 10]));
        for bad in ["x", "3-1", "1-", "0-4294967295"] {
            assert_eq!(parse_cpu_list(bad), None, "{bad}");
        }
        isolated_cpus().unwrap();
    }

    #[test]
    fn capabilities_are_read_from_the_status() {
        let status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t0000000000804000\n";
        assert_eq!(effective_capabilities(status), Some(1 << CAP_SYS_NICE | 1 << CAP_IPC_LOCK));
        assert_eq!(effective_capabilities("Name:\tx\n"), None);
    }
}
