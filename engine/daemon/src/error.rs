//! What can go wrong in the engine, each in one sentence that says what to do.

use std::path::PathBuf;

use audyn_api::{Refusal, RefusalKind};

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The system refused a socket, a thread, memory.
    #[error(transparent)]
    System(#[from] audyn_sys::SysError),
    /// A name or boundary policy is wrong.
    #[error(transparent)]
    Archive(#[from] audyn_core::archive::ArchiveError),
    /// A value of the configuration is wrong. Nothing was changed.
    #[error("{0}")]
    Invalid(String),
    /// There is no such recorder or source.
    #[error("there is no {what} `{id}`; {known}")]
    NotFound {
        /// `recorder` or `source`.
        what: &'static str,
        /// The identifier asked for.
        id: String,
        /// Those that exist, in words.
        known: String,
    },
    /// The state forbids it. Nothing was changed.
    #[error("{0}")]
    Conflict(String),
    /// A directory cannot be written to.
    #[error("cannot write to {}: {source}; check that it exists, is writable and on a mounted disk", path.display())]
    Unwritable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the configuration cannot be read or written.
    #[error("{}: {detail}", path.display())]
    ConfigFile {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        detail: String,
    },
    /// The control socket cannot be opened.
    #[error("cannot listen at {}: {detail}", path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// What is wrong and what to do.
        detail: String,
    },
}

impl From<&EngineError> for Refusal {
    fn from(error: &EngineError) -> Self {
        let kind = match error {
            EngineError::Archive(_) | EngineError::Invalid(_) => RefusalKind::Invalid,
            EngineError::NotFound { .. } => RefusalKind::NotFound,
            EngineError::Conflict(_) => RefusalKind::Conflict,
            EngineError::System(_)
            | EngineError::Unwritable { .. }
            | EngineError::ConfigFile { .. }
            | EngineError::Socket { .. } => RefusalKind::Failed,
        };
        Self { kind, detail: error.to_string() }
    }
}
