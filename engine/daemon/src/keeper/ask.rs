//! One ptp4l, asked over its management socket.
//!
//! Owns: the socket, the domain that was found out, and how long an answer may take. Never: a request that changes anything.
//!
//! ptp4l answers only to its own domain, and doesn't say which that is. So where nobody has said it, the domains are tried,
//! a few in each round, until one answers.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use audyn_core::judge::{PortTold, PtpTold};
use audyn_wire::ptp::{Answer, Body, ClockIdentity, DataSet, GET_BYTES, Get, MAX_ANSWER_BYTES, PortIdentity};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket};

/// Domains that are tried in one round, while none is known.
const TRIED_AT_ONCE: u8 = 8;

/// Those of AES67 and of ST 2059-2 first.
const LIKELY: [u8; 2] = [0, 127];

/// After so many rounds without an answer it may be another ptp4l, in another domain.
const SILENT_ROUNDS: u8 = 3;

/// For so long the last domain is asked for once it was silent, so that a search has its turn.
const ONCE_SILENT: Duration = Duration::from_millis(400);

/// The client of one ptp4l.
#[derive(Debug)]
pub(super) struct PtpClient {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    /// As configured.
    fixed: Option<u8>,
    /// The domain in which it answered last.
    domain: Option<u8>,
    /// Rounds without an answer since the last one.
    silent: u8,
    /// Where the search goes on.
    next: u8,
    sequence: u16,
}

impl PtpClient {
    pub(super) fn new(path: PathBuf, domain: Option<u8>) -> Self {
        Self { path, socket: None, fixed: domain, domain, silent: 0, next: 0, sequence: 0 }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Asks for everything. None if it isn't there, or did not answer in time.
    pub(super) fn ask(&mut self, patience: Duration) -> Option<PtpTold> {
        let until = Instant::now() + patience;
        let told = self.try_ask(until);
        if matches!(told, Ok(Some(_))) {
            self.silent = 0;
        } else {
            // A ptp4l that was restarted has a new socket by the old name.
            self.socket = None;
            // One that a busy machine kept waiting has its old domain: a search would take it many rounds more.
            self.silent = self.silent.saturating_add(1);
            if self.silent >= SILENT_ROUNDS && self.domain != self.fixed {
                self.next = 0;
                self.domain = self.fixed;
            }
        }
        told.ok().flatten()
    }

    fn try_ask(&mut self, until: Instant) -> io::Result<Option<PtpTold>> {
        if self.socket.is_none() {
            self.socket = Some(connect(&self.path)?);
        }
        let Some(default) = self.default_set(until)? else { return Ok(None) };
        let mut told = PtpTold { clock: default.clock.clock, domain: default.domain, ..PtpTold::default() };
        let clock = told.clock;
        let ports = usize::from(default.ports).clamp(1, 64);
        let mut whole = true;
        for set in DataSet::ALL.into_iter().filter(|&set| set != DataSet::Default) {
            let answers = if matches!(set, DataSet::Port | DataSet::PortPropertiesNp) { ports } else { 1 };
            let mut heard = 0;
            self.get(set, told.domain)?;
            while heard < answers {
                let Some(refused) = self.hear(until, Some(clock), |body| take(&mut told, body))? else {
                    break;
                };
                heard += 1;
                if refused {
                    break;
                }
            }
            // What only linuxptp of some version tells may be missing.
            whole &= heard > 0 || matches!(set, DataSet::PortPropertiesNp);
        }
        told.ports.retain(|port| port.number > 0);
        Ok(whole.then_some(told))
    }

    /// Finds out who it is, and in which domain.
    fn default_set(&mut self, until: Instant) -> io::Result<Option<audyn_wire::ptp::DefaultDataSet>> {
        let mut found = None;
        let mut take = |body: &Body<'_>| {
            if let Body::Default(set) = body {
                found = Some(*set);
            }
        };
        if let Some(domain) = self.domain {
            self.get(DataSet::Default, domain)?;
            let once_silent = self.silent > 0 && self.fixed.is_none();
            let until = if once_silent { until.min(Instant::now() + ONCE_SILENT) } else { until };
            self.hear(until, None, &mut take)?;
        } else {
            // ptp4l drops what is of another domain; the first to be answered is the one. The numbers of the questions differ,
            // so the answer to any of them is taken.
            let first = self.next;
            for n in 0..TRIED_AT_ONCE {
                let place = usize::from(first + n);
                let domain = LIKELY.get(place).copied().unwrap_or_else(|| (place - LIKELY.len() + 1) as u8);
                self.get(DataSet::Default, domain)?;
            }
            self.next = (first + TRIED_AT_ONCE) % 128;
            let soon = until.min(Instant::now() + Duration::from_millis(60));
            self.hear_any(soon, &mut take)?;
        }
        if let Some(set) = &found {
            self.domain = Some(set.domain);
        }
        Ok(found)
    }

    fn get(&mut self, set: DataSet, domain: u8) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let source = PortIdentity { clock: ClockIdentity::default(), port: 1 };
        let question = Get { domain, source, sequence: self.sequence, target: PortIdentity::ALL, set };
        let mut bytes = [0; GET_BYTES];
        question.write(&mut bytes);
        self.open()?.send(&bytes).map(drop)
    }

    fn open(&self) -> io::Result<&UnixDatagram> {
        self.socket.as_ref().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))
    }

    /// Waits for an answer to the last question, and tells whether it was a refusal; none if time is up.
    fn hear(
        &self,
        until: Instant,
        from: Option<ClockIdentity>,
        mut take: impl FnMut(&Body<'_>),
    ) -> io::Result<Option<bool>> {
        let ours = |answer: &Answer<'_>| {
            answer.sequence == self.sequence && from.is_none_or(|clock| clock == answer.source.clock)
        };
        self.hear_one(until, ours, &mut take)
    }

    fn hear_any(&self, until: Instant, mut take: impl FnMut(&Body<'_>)) -> io::Result<Option<bool>> {
        self.hear_one(until, |_| true, &mut take)
    }

    fn hear_one(
        &self,
        until: Instant,
        ours: impl Fn(&Answer<'_>) -> bool,
        take: &mut impl FnMut(&Body<'_>),
    ) -> io::Result<Option<bool>> {
        let socket = self.open()?;
        let mut bytes = [0; MAX_ANSWER_BYTES];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let length = match socket.recv(&mut bytes) {
                Ok(length) => length,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            // What is no answer, or one to an older question, is passed over.
            if let Ok(answer) = Answer::parse(&bytes[..length])
                && ours(&answer)
            {
                take(&answer.body);
                return Ok(Some(matches!(answer.body, Body::Refused { .. })));
            }
        }
    }
}

/// Writes what an answer says to where it belongs.
fn take(told: &mut PtpTold, body: &Body<'_>) {
    match body {
        Body::Current(set) => {
            told.steps_removed = set.steps_removed;
            told.path_delay = set.path_delay;
        }
        Body::Parent(set) => told.grandmaster = set.grandmaster,
        Body::TimeProperties(set) => told.time = *set,
        Body::TimeStatusNp(set) => {
            told.offset = set.offset;
            told.ingress = set.ingress;
        }
        Body::Port(set) => port(told, set.port.port).state = set.state,
        Body::PortPropertiesNp(set) => {
            let port = port(told, set.port.port);
            port.stamping = Some(set.stamping);
            set.interface.clone_into(&mut port.interface);
        }
        _ => {}
    }
}

fn port(told: &mut PtpTold, number: u16) -> &mut PortTold {
    let at = told.ports.iter().position(|port| port.number == number).unwrap_or_else(|| {
        told.ports.push(PortTold { number, ..PortTold::default() });
        told.ports.len() - 1
    });
    &mut told.ports[at]
}

/// A socket that only this ptp4l can answer to. Its own name is one that the kernel makes up in no directory (unix(7),
/// autobind), so that no program has to reach into ours.
fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let fd: OwnedFd = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    bind(fd.as_raw_fd(), &UnixAddr::new_unnamed())?;
    let socket = UnixDatagram::from(fd);
    socket.connect(path)?;
    socket.set_write_timeout(Some(Duration::from_millis(20)))?;
    Ok(socket)
}

#[cfg(test)]
#[path = "ask_tests.rs"]
mod tests;
