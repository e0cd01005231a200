//! Datagrams that have no business on the port.

use audyn_core::flow::FlowFormat;
use audyn_units::{Mono, Nanos, PayloadType, RtpTime, SeqNo, Ssrc, Timestamp};
use audyn_wire::rtp::{HEADER_BYTES, Header};

use crate::Dice;

/// A source of rubbish: random bytes, wrong versions and payload types, cut headers, payloads that are no whole frames,
/// and single packets of sources that nobody knows.
#[derive(Debug)]
pub struct Rubbish {
    format: FlowFormat,
    packet_bytes: usize,
    dice: Dice,
    every: Nanos,
    next: Timestamp<Mono>,
    until: Timestamp<Mono>,
}

impl Rubbish {
    /// Rubbish from `from` to `until`, on average `per_second` datagrams, some of them nearly like a flow of `format` with
    /// payloads of `packet_bytes`.
    pub fn new(
        format: FlowFormat,
        packet_bytes: usize,
        seed: u64,
        per_second: u32,
        (from, until): (Timestamp<Mono>, Timestamp<Mono>),
    ) -> Self {
        let every = Nanos(1_000_000_000 / i64::from(per_second.max(1)));
        Self { format, packet_bytes, dice: Dice::new(seed, 2), every, next: from, until }
    }

    pub(crate) fn peek(&self) -> Option<Timestamp<Mono>> {
        (self.next < self.until).then_some(self.next)
    }

    pub(crate) fn pop(&mut self, bytes: &mut Vec<u8>) {
        self.next += Nanos(self.dice.below(self.every.0 as u64 * 2) as i64 + 1);
        let (dice, good) = (&mut self.dice, self.packet_bytes);
        let mut fixed = [0; HEADER_BYTES];
        Header {
            marker: dice.percent(50),
            payload_type: self.format.payload_type,
            sequence: SeqNo(dice.bits() as u16),
            timestamp: RtpTime(dice.bits()),
            ssrc: Ssrc(dice.bits()),
        }
        .write(&mut fixed);
        let kind = dice.below(8);
        match kind {
            1 => fixed[0] = dice.pick(&[0x00, 0x40, 0xc0]),
            2 => {
                let wrong = PayloadType::DYNAMIC.get() ^ dice.between(1, 31) as u8;
                fixed[1] = if wrong == self.format.payload_type.get() { wrong ^ 1 } else { wrong };
            }
            // Fifteen contributing sources, and less than that follows.
            3 => fixed[0] = 0x8f,
            _ => {}
        }
        let payload = match kind {
            3 => dice.below(60) as usize,
            4 => 0,
            5 => good.saturating_sub(1).max(1),
            6 => 1_489 + dice.below(2_000) as usize,
            _ => good,
        };
        bytes.clear();
        bytes.extend_from_slice(&fixed);
        bytes.resize(HEADER_BYTES + payload, 0);
        dice.fill(&mut bytes[HEADER_BYTES..]);
        match kind {
            0 => {
                bytes.resize(dice.below(1_501) as usize, 0);
                dice.fill(bytes);
            }
            7 if dice.percent(50) => bytes.truncate(dice.below(HEADER_BYTES as u64) as usize),
            _ => {}
        }
    }
}
