//! Lines for a stream that somebody may not read: standard output, standard error.
//!
//! Owns: the stream, on a thread of its own. Never: keeps whoever prints waiting, or ends anything. What finds no room while
//! the reader stalls is dropped; once the reader has gone, all is.
//!
//! ```text
//!  [prints] ── write error (EPIPE) ──► [gone: lines are dropped]
//!     └─ finish: what waits is written, or the time is up
//! ```

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::time::{Duration, Instant};

/// Lines that wait for the reader.
const QUEUE: usize = 256;

/// Time between two tries to place the last line.
const RETRY: Duration = Duration::from_millis(5);

enum Order {
    Print(Vec<u8>),
    End,
}

/// The handle of a printing thread. Clones print to the same stream; as an [`io::Write`] each write is one piece that is
/// printed whole or dropped.
#[derive(Debug, Clone)]
pub struct Printer {
    orders: SyncSender<Order>,
}

/// What [`Printer::start`] gives besides, to wait for the end.
#[derive(Debug)]
pub struct Printing {
    orders: SyncSender<Order>,
    over: Receiver<std::convert::Infallible>,
}

impl Printer {
    /// Starts the thread. Where there is none to be had, everything is dropped.
    pub fn start(name: &str, mut stream: impl Write + Send + 'static) -> (Self, Printing) {
        let (orders, inbox) = sync_channel(QUEUE);
        let (running, over) = channel();
        let print = move || {
            // Dropped when the thread ends: that is the message.
            let _running = running;
            while let Ok(Order::Print(bytes)) = inbox.recv() {
                if stream.write_all(&bytes).and_then(|()| stream.flush()).is_err() {
                    return;
                }
            }
        };
        // A failure drops the inbox, which is a stream whose reader has gone.
        let _ = std::thread::Builder::new().name(name.to_owned()).spawn(print);
        (Self { orders: orders.clone() }, Printing { orders, over })
    }

    /// Prints, if the stream takes it.
    pub fn print(&self, text: impl Into<Vec<u8>>) {
        let _ = self.orders.try_send(Order::Print(text.into()));
    }
}

impl Write for Printer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.print(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Printing {
    /// Prints a last piece and ends the thread, waiting no longer than `patience`. False if not all of it was printed in
    /// time; the thread then hangs on until the process ends.
    pub fn finish(self, last: impl Into<Vec<u8>>, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        for mut order in [Order::Print(last.into()), Order::End] {
            loop {
                order = match self.orders.try_send(order) {
                    Ok(()) => break,
                    Err(TrySendError::Disconnected(_)) => return false,
                    Err(TrySendError::Full(_)) if Instant::now() >= deadline => return false,
                    Err(TrySendError::Full(order)) => order,
                };
                std::thread::sleep(RETRY);
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        matches!(self.over.recv_timeout(left), Err(RecvTimeoutError::Disconnected))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read};

    use super::*;

    fn full() -> (PipeReader, impl Write + Send + 'static) {
        let (reader, mut writer) = io::pipe().unwrap();
        let size = nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_GETPIPE_SZ).unwrap();
        writer.write_all(&vec![b'.'; size as usize]).unwrap();
        (reader, writer)
    }

    #[test]
    fn all_is_printed_in_order() {
        let (mut reader, writer) = io::pipe().unwrap();
        let (printer, printing) = Printer::start("test", writer);
        printer.print("one\n");
        printer.clone().write_all(b"two\n").unwrap();
        assert!(printing.finish("three\n", Duration::from_secs(60)));
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\nthree\n");
        printer.print("nobody is there any more");
    }

    #[test]
    fn a_reader_that_stalls_keeps_nobody_waiting() {
        let (_reader, writer) = full();
        let (printer, printing) = Printer::start("test", writer);
        for _ in 0..QUEUE * 2 {
            printer.print("line\n");
        }
        assert!(!printing.finish("last", Duration::ZERO));
    }

    #[test]
    fn a_reader_that_has_gone_ends_nothing() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let (printer, printing) = Printer::start("test", writer);
        while printer.orders.try_send(Order::Print(b"x".to_vec())).is_ok() {}
        printer.print("line\n");
        printing.finish("last", Duration::from_secs(60));
    }
}
