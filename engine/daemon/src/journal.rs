//! The log under systemd: entries with fields, for journald's own socket.
//!
//! Owns: the form of an entry (systemd.io/JOURNAL_NATIVE_PROTOCOL), and whether the log goes there at all. Never: writes on the
//! thread that logs; entries go through a [`Printer`], so that a journald that stalls costs entries and nothing else.
//!
//! `journalctl -u audyn-engine AUDYN_RECORDER=studio-1` finds what concerns a recorder; the message says it in words as well.
//!
//! # Rejected designs
//! * The crate tracing-journald: it sends on the thread that logs, and that send waits while journald's queue is full. Here
//!   those threads are the disk writer's and the one that serves clients.

use std::fmt::{Debug, Write as _};
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::printer::Printer;

/// Where journald listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// Bytes of an entry at most: a datagram of this size passes with any setting of the kernel's.
const MAX_ENTRY: usize = 32 * 1024;

/// Whether standard error leads to journald (systemd.exec(5), `$JOURNAL_STREAM`), so that its socket may take the log's place.
#[must_use]
pub fn has_stderr() -> bool {
    let stderr = nix::sys::stat::fstat(io::stderr()).map(|stat| (stat.st_dev, stat.st_ino));
    let told = std::env::var("JOURNAL_STREAM").ok();
    Path::new(SOCKET).exists()
        && stderr.is_ok_and(|(device, inode)| told.is_some_and(|told| told == format!("{device}:{inode}")))
}

/// The socket, as a stream of which each write is one entry.
#[derive(Debug)]
pub struct Socket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Socket {
    /// A socket that sends to `path`; nobody needs to listen there yet.
    ///
    /// # Errors
    /// What the system says, if there is no socket to be had.
    pub fn to(path: &Path) -> io::Result<Self> {
        Ok(Self { socket: UnixDatagram::unbound()?, path: path.to_owned() })
    }
}

impl Write for Socket {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        // What journald does not take is told where systemd reads too; the next entry is tried again.
        if let Err(error) = self.socket.send_to(entry, &self.path) {
            let _ = writeln!(io::stderr(), "a log entry did not reach {}: {error}", self.path.display());
        }
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One entry without fields of its own.
#[must_use]
pub fn entry(level: Level, message: &str) -> String {
    let mut entry = String::new();
    put(&mut entry, "PRIORITY", priority(level));
    put(&mut entry, "SYSLOG_IDENTIFIER", "audyn-engine");
    put(&mut entry, "MESSAGE", message);
    entry
}

/// Makes entries of events.
#[derive(Debug)]
pub struct Journal {
    entries: Printer,
}

impl Journal {
    /// Prints entries; the stream behind is a [`Socket`].
    #[must_use]
    pub fn new(entries: Printer) -> Self {
        Self { entries }
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut entry = entry(*metadata.level(), &(fields.message + &fields.words));
        put(&mut entry, "TARGET", metadata.target());
        if let (Some(file), Some(line)) = (metadata.file(), metadata.line()) {
            put(&mut entry, "CODE_FILE", file);
            put(&mut entry, "CODE_LINE", &line.to_string());
        }
        if entry.len() + fields.lines.len() <= MAX_ENTRY {
            entry.push_str(&fields.lines);
        }
        self.entries.print(entry);
    }
}

/// An event's fields: as lines of an entry, and as words behind the message.
#[derive(Default)]
struct Fields {
    message: String,
    words: String,
    lines: String,
}

impl Fields {
    fn take(&mut self, name: &str, value: &str) {
        if name == "message" {
            value.clone_into(&mut self.message);
            return;
        }
        // Writing to a String cannot fail.
        let _ = write!(self.words, " {name}={value}");
        let name: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
            .collect();
        put(&mut self.lines, &format!("AUDYN_{name}"), value);
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.take(field.name(), &format!("{value:?}"));
    }
}

/// A line. A value of several becomes one, so that it needs no length before it and cannot make fields of its own.
fn put(entry: &mut String, name: &str, value: &str) {
    let end = value.floor_char_boundary(MAX_ENTRY / 4);
    entry.push_str(name);
    entry.push('=');
    entry.extend(value[..end].chars().map(|c| if c.is_control() { ' ' } else { c }));
    entry.push('\n');
}

/// syslog(3)'s numbers.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn an_event_is_one_entry_with_its_fields() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        journald.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (entries, printing) = Printer::start("test", Socket::to(&path).unwrap());
        let subscriber = tracing_subscriber::registry().with(Journal::new(entries));
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(recorder = "a", path = %"/x\nPRIORITY=0", count = 3, "file {}", "opened");
            tracing::info!(long = "ä".repeat(100_000), "long");
        });
        printing.finish(entry(Level::ERROR, "the end"), Duration::from_secs(20));

        let mut bytes = vec![0; 2 * MAX_ENTRY];
        let mut next = || {
            let length = journald.recv(&mut bytes).unwrap();
            String::from_utf8(bytes[..length].to_vec()).unwrap()
        };
        let first = next();
        let lines: Vec<&str> = first.lines().collect();
        assert_eq!(
            lines[..3],
            [
                "PRIORITY=4",
                "SYSLOG_IDENTIFIER=audyn-engine",
                "MESSAGE=file opened recorder=a path=/x PRIORITY=0 count=3"
            ]
        );
        assert_eq!(lines.iter().filter(|line| line.starts_with("PRIORITY=")).count(), 1, "{first}");
        for line in ["AUDYN_RECORDER=a", "AUDYN_PATH=/x PRIORITY=0", "AUDYN_COUNT=3"] {
            assert!(lines.contains(&line), "{first}");
        }
        assert!(lines.iter().any(|line| line.starts_with("CODE_FILE=") && line.ends_with("journal.rs")));
        let long = next();
        assert!(long.len() <= MAX_ENTRY && long.contains("MESSAGE=long long=ä"), "{}", long.len());
        assert_eq!(next(), "PRIORITY=3\nSYSLOG_IDENTIFIER=audyn-engine\nMESSAGE=the end\n");
    }

    #[test]
    fn a_journald_that_is_away_costs_entries_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let mut socket = Socket::to(&path).unwrap();
        assert_eq!(socket.write(b"MESSAGE=lost\n").unwrap(), 13);
        let journald = UnixDatagram::bind(&path).unwrap();
        socket.write_all(b"MESSAGE=heard\n").unwrap();
        let mut bytes = [0; 64];
        assert_eq!(journald.recv(&mut bytes).unwrap(), 14);
    }
}
