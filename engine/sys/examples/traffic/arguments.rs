//! What is asked for, and where the flows are.

use std::net::Ipv4Addr;

use audyn_sys::RealtimeRequest;
use audyn_units::Nanos;

/// The port of all flows; each has a group of its own.
pub(crate) const PORT: u16 = 5004;

/// The group of a flow; `ci/bench/capture` says the same.
pub(crate) fn group(flow: usize) -> Ipv4Addr {
    Ipv4Addr::new(239, 64, 8, flow as u8 + 1)
}

#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) flows: usize,
    /// How long it sends, or measures.
    pub(crate) time: Nanos,
    /// How long it runs before it measures.
    pub(crate) warm: Nanos,
    /// Frames in a packet.
    pub(crate) frames: u64,
    cpu: Option<usize>,
    fifo: Option<u8>,
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Self {
        let mut plain = Vec::new();
        let mut parsed = Self { frames: 48, ..Self::default() };
        while let Some(word) = words.next() {
            let mut value = || number(&words.next().unwrap_or_default());
            match word.as_str() {
                "--cpu" => parsed.cpu = Some(value()),
                "--fifo" => parsed.fifo = u8::try_from(value()).ok(),
                "--frames" => parsed.frames = value().max(1) as u64,
                "--warm" => parsed.warm = Nanos::from_secs(value() as i64),
                _ => plain.push(number(&word)),
            }
        }
        let [flows, seconds] = plain[..] else { refuse("two numbers are wanted: flows and seconds") };
        if !(1..=200).contains(&flows) {
            refuse("from 1 to 200 flows");
        }
        Self { flows, time: Nanos::from_secs(seconds as i64), ..parsed }
    }

    pub(crate) fn rights(&self) -> RealtimeRequest {
        RealtimeRequest { fifo_priority: self.fifo, cpu: self.cpu, lock_memory: false }
    }
}

fn number(word: &str) -> usize {
    word.parse().unwrap_or_else(|_| refuse(&format!("`{word}` is no number")))
}

/// Ends the program with a sentence.
pub(crate) fn refuse(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(2)
}
