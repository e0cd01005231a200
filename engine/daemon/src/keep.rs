//! Sockets that outlive the process: kept by the service manager while the engine restarts (systemd's file descriptor store), so
//! that the kernel goes on queueing packets, and the next engine takes them where this one stopped.
//!
//! Owns: what was passed to this process and nobody has claimed, and telling the manager what to keep. Never: decides whether a
//! socket fits; its name says what it is bound to and joined on, and [`FlowSocket::adopt`] looks.
//!
//! # Procedure
//! 1. A flow's socket is stored as soon as it is open, so that also an engine that is killed leaves it.
//! 2. At SIGTERM the capture thread ends first: what it has read is recorded; what it has not is the next engine's.
//! 3. The next engine is passed the sockets. A flow whose name is the same takes its own, checks it, and opens it to the capture
//!    thread only when all recordings that begin with the engine have begun ([`crate::Engine::release`]).
//! 4. What no flow has claimed by then is closed, and the manager told to forget it, as for each flow that ends.
//!
//! # Where the next file begins
//! Of two legs, the later one's copies of the last recorded packets may come after the capture thread has ended, and wait for the next
//! engine. Of a flow that is placed by its media clock it knows by the note of the one before (`resume`) that they are recorded, and
//! leaves them out.
//!
//! # What it does not do
//! - A flow that is placed by its arrival has no positions that another engine could know: its file repeats as many frames as the later leg
//!   lags. So does any flow's after a crash. Nothing is missing.
//! - A packet that the earlier leg lost just before the end stands in the later one's copies only. Then the next file begins with it, and
//!   repeats what the first file has behind the hole; the positions tell which frames are the same.
//!
//! # Rejected
//! - *Storing at the end only*: a crash would leave nothing.
//! - *A name without the interface's number*: a socket that joined on an interface that has gone would seem to fit.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use audyn_sys::{FlowSocket, FlowSocketConfig};
use sd_notify::NotifyState;

use crate::error::EngineError;

/// The sockets that the manager keeps for this engine.
#[derive(Debug, Default)]
pub struct KeptSockets {
    /// There is a manager to tell.
    told: bool,
    waiting: Vec<(String, OwnedFd)>,
}

impl KeptSockets {
    /// Of a process that nobody keeps anything for.
    pub fn none() -> Self {
        Self::default()
    }

    /// Takes over what the service manager passed, if one started this process. To be called before anything is opened.
    pub fn inherit() -> Self {
        let waiting = audyn_sys::inherited();
        Self { told: std::env::var_os("NOTIFY_SOCKET").is_some(), waiting }
    }

    /// How many wait to be claimed.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The socket that was stored under this name.
    pub(crate) fn claim(&mut self, name: &str) -> Option<OwnedFd> {
        let at = self.waiting.iter().position(|(stored, _)| stored == name)?;
        Some(self.waiting.swap_remove(at).1)
    }

    /// Has a socket kept. The manager is asked not to look into it (FDPOLL=0): it would throw out one with a pending error.
    pub(crate) fn keep(&self, name: &str, socket: BorrowedFd<'_>) {
        if !self.told {
            return;
        }
        let state = [NotifyState::FdStore, NotifyState::FdName(name), NotifyState::Custom("FDPOLL=0")];
        if let Err(error) = sd_notify::notify_with_fds(&state, &[socket]) {
            tracing::warn!(name, %error, "the service manager was not told to keep a socket; a restart will lose packets");
        }
    }

    /// Has a socket forgotten.
    pub(crate) fn forget(&self, name: &str) {
        if !self.told {
            return;
        }
        if let Err(error) = sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)]) {
            tracing::warn!(name, %error, "the service manager was not told to forget a socket; it fills until the unit stops");
        }
    }

    /// The socket of a flow, and the name that it is kept under: the one that was kept for it, or a new one, which is kept from now on.
    pub(crate) fn open_or_claim(
        &mut self,
        config: &FlowSocketConfig,
        label: &str,
    ) -> Result<(FlowSocket, Option<String>), EngineError> {
        let Some(name) = config.store_name(label) else { return Ok((FlowSocket::open(config)?, None)) };
        match self.claim(&name).map(|socket| FlowSocket::adopt(socket, config)) {
            Some(Ok(socket)) => {
                tracing::info!(name, "goes on with the socket of the engine before");
                return Ok((socket, Some(name)));
            }
            Some(Err(error)) => {
                tracing::warn!(name, "{error}");
                self.forget(&name);
            }
            None => {}
        }
        let socket = FlowSocket::open(config)?;
        self.keep(&name, socket.as_fd());
        Ok((socket, Some(name)))
    }

    /// Closes what nobody has claimed, and has it forgotten.
    pub(crate) fn drop_rest(&mut self) {
        for (name, _) in std::mem::take(&mut self.waiting) {
            tracing::info!(name, "a socket of an earlier engine fits no flow and is closed");
            self.forget(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_claimed_once_and_by_its_whole_name() {
        let descriptor = || OwnedFd::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        let waiting = vec![("a-1".to_owned(), descriptor()), ("a-12".to_owned(), descriptor())];
        let mut kept = KeptSockets { told: false, waiting };
        assert!(kept.claim("a").is_none());
        assert!(kept.claim("a-1").is_some());
        assert!(kept.claim("a-1").is_none());
        kept.drop_rest();
        assert_eq!(kept.waiting(), 0);
    }
}
