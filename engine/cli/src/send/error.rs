//! What can go wrong with `audyn send`.

use std::io;
use std::path::{Path, PathBuf};

use audyn_media::MediaError;

use crate::capture::CaptureError;
use crate::stop::SignalError;

/// Why nothing is sent, or no more. Each is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The options don't fit together, or the machine.
    #[error("{0}")]
    Usage(String),
    /// The audio file can't be read.
    #[error("{0}; give a WAV file of 16 or 24 bit at 44100, 48000 or 96000 Hz")]
    File(#[from] MediaError),
    /// The capture can't be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A file of ours can't be written.
    #[error("cannot write {path}: {reason}; give a place that is writable and has room")]
    Write { path: String, reason: String },
    /// A file of ours would take the place of another.
    #[error("{} exists already and is left as it is; give another name, or remove it first", .0.display())]
    Exists(PathBuf),
    /// The network refuses.
    #[error("cannot send to {to}: {reason}; {remedy}")]
    Network { to: String, reason: String, remedy: &'static str },
    /// The system refuses to tell of signals.
    #[error(transparent)]
    Signals(#[from] SignalError),
}

impl SendError {
    /// 2 for what a correct call avoids, 1 for what happens while running.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::File(_)
            | Self::Capture(_)
            | Self::Write { .. }
            | Self::Exists(_)
            | Self::Network { .. }
            | Self::Signals(_) => 1,
        }
    }

    pub(super) fn write(path: &Path, error: &io::Error) -> Self {
        let path =
            if path == Path::new("-") { "to standard output".into() } else { path.display().to_string() };
        Self::Write { path, reason: error.to_string() }
    }

    pub(super) fn network(to: impl std::fmt::Display, error: &io::Error) -> Self {
        let remedy = match error.kind() {
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
                "there is no way there: name the network with --interface"
            }
            io::ErrorKind::AddrNotAvailable => "the interface has lost its address: check it and start again",
            io::ErrorKind::PermissionDenied => "the system forbids it: check the address and the firewall",
            _ => "check the address and the network",
        };
        Self::Network { to: to.to_string(), reason: error.to_string(), remedy }
    }
}
