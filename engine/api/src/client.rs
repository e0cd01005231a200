//! A client over tokio, for the command line, the web daemon and the panel.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::frame::{self, FrameError};
use crate::{ClientFrame, Event, MAGIC, Refusal, Reply, Request, ServerFrame, VERSION};

/// Where the engine listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/audyn/engine.sock";

/// How long the engine may take to answer before the connection counts as dead. Stopping closes files, which a
/// slow disk delays.
const PATIENCE: Duration = Duration::from_secs(15);

/// What can go wrong between a client and the engine.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there, or not to this user.
    #[error("{}", unreachable(path, cause))]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The connection broke.
    #[error("the connection to the engine broke: {0}")]
    Broken(#[from] io::Error),
    /// The engine did not answer in time.
    #[error("the engine did not answer within {} s", PATIENCE.as_secs())]
    Silent,
    /// The engine spoke something else.
    #[error("the engine's answer was not understood: {0}")]
    Protocol(#[from] FrameError),
    /// The engine said something that does not fit the request.
    #[error("the engine's answer does not fit the request")]
    Unexpected,
    /// The engine said no.
    #[error("{}", .0.detail)]
    Refused(Refusal),
}

fn unreachable(path: &Path, cause: &io::Error) -> String {
    let path = path.display();
    if cause.kind() == io::ErrorKind::PermissionDenied {
        return format!(
            "this user may not talk to the engine at {path}: {cause}; join the socket's group, or ask as root"
        );
    }
    format!("no engine answers at {path}: {cause}; is audyn-engine running, and is this its socket?")
}

/// A connection to the engine. One request at a time; events that come in between are kept for [`Client::next_event`].
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    events: VecDeque<Event>,
    next_id: u32,
    engine: String,
}

impl Client {
    /// Connects and shakes hands. `name` is who calls, for the engine's log.
    pub async fn connect(path: &Path, name: &str) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path)
            .await
            .map_err(|cause| ClientError::Unreachable { path: path.to_owned(), cause })?;
        let mut client = Self {
            stream,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            events: VecDeque::new(),
            next_id: 0,
            engine: String::new(),
        };
        client.send(&ClientFrame::Hello { magic: MAGIC, version: VERSION, client: name.to_owned() }).await?;
        match client.receive_in_time().await? {
            ServerFrame::Hello { engine, .. } => client.engine = engine,
            ServerFrame::Refused(refusal) => return Err(ClientError::Refused(refusal)),
            _ => return Err(ClientError::Unexpected),
        }
        Ok(client)
    }

    /// The engine's version, as it introduced itself.
    pub fn engine_version(&self) -> &str {
        &self.engine
    }

    /// Asks and waits for the answer. A refusal is [`ClientError::Refused`].
    pub async fn request(&mut self, request: Request) -> Result<Reply, ClientError> {
        self.next_id = self.next_id.wrapping_add(1);
        let id = self.next_id;
        self.send(&ClientFrame::Request { id, request }).await?;
        loop {
            match self.receive_in_time().await? {
                ServerFrame::Reply { id: of, reply } if of == id => {
                    return match reply {
                        Reply::Refused(refusal) => Err(ClientError::Refused(refusal)),
                        reply => Ok(reply),
                    };
                }
                ServerFrame::Event(event) => self.keep(event),
                ServerFrame::Refused(refusal) => return Err(ClientError::Refused(refusal)),
                _ => return Err(ClientError::Unexpected),
            }
        }
    }

    /// The next event. Safe to drop and call again: a frame that came in part stays.
    pub async fn next_event(&mut self) -> Result<Event, ClientError> {
        if let Some(event) = self.events.pop_front() {
            return Ok(event);
        }
        match self.receive().await? {
            ServerFrame::Event(event) => Ok(event),
            ServerFrame::Refused(refusal) => Err(ClientError::Refused(refusal)),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Events are news, not a log: while a request waits, only the newest hundred are kept.
    fn keep(&mut self, event: Event) {
        if self.events.len() == 100 {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    async fn send(&mut self, frame: &ClientFrame) -> Result<(), ClientError> {
        self.outgoing.clear();
        frame::encode(frame, &mut self.outgoing)?;
        self.stream.write_all(&self.outgoing).await?;
        Ok(())
    }

    async fn receive_in_time(&mut self) -> Result<ServerFrame, ClientError> {
        tokio::time::timeout(PATIENCE, self.receive()).await.map_err(|_| ClientError::Silent)?
    }

    async fn receive(&mut self) -> Result<ServerFrame, ClientError> {
        loop {
            if let Some((prefix, rest)) = self.incoming.split_first_chunk::<4>() {
                let length = frame::body_length(*prefix, frame::MAX_BODY)?;
                if rest.len() >= length {
                    let decoded = frame::decode_body(&rest[..length]);
                    self.incoming.drain(..4 + length);
                    return Ok(decoded?);
                }
            }
            if self.stream.read_buf(&mut self.incoming).await? == 0 {
                return Err(ClientError::Broken(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_is_told_so() {
        let sentence = |kind: io::ErrorKind| {
            ClientError::Unreachable { path: "/run/x.sock".into(), cause: kind.into() }.to_string()
        };
        let denied = sentence(io::ErrorKind::PermissionDenied);
        assert!(
            denied.contains("this user may not") && !denied.contains("is audyn-engine running"),
            "{denied}"
        );
        assert!(sentence(io::ErrorKind::NotFound).contains("is audyn-engine running"));
    }
}
