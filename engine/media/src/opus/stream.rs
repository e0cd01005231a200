//! One Ogg file of Opus packets: which packets it holds, in which pages, and what of it is on the disk.
//!
//! Owns: pages, granule positions, the end. Never: knows frames at another rate than 48 kHz.
//!
//! ```text
//!            take: each packet              end: no frame comes any more        take: the packet with the last sample
//!  [running] ──────────────────▶ [running] ────────────────────────▶ [ending] ──────────────────────────────────────▶ [ended]
//! ```

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ogg::writing::{PacketWriteEndInfo as PageEnd, PacketWriter};

use super::encoder::{PACKET, PREROLL, Packet};
use super::head::{Head, Mapping, tags};
use super::spec::OpusSpec;
use crate::tail::Tail;
use crate::{Facts, Store};

/// Packets of the longest page: 160 ms. A checkpoint ends pages earlier.
const PAGE_PACKETS: usize = 8;

/// Segments of a page: 255 bytes each (RFC 3533 §6).
const PAGE_SEGMENTS: usize = 255;

/// Where a file begins in its encoder's count of samples, and its first pages.
pub(crate) struct Begin {
    /// The sample at which its first frame lies.
    place: u64,
    /// Number of its first packet.
    first: u64,
    pre_skip: u16,
    serial: u32,
    pages: PacketWriter<'static, Vec<u8>>,
}

impl Begin {
    /// A file whose first frame lies at `place`, from an encoder with that lookahead.
    pub(crate) fn new(spec: OpusSpec, facts: &Facts, place: u64, lookahead: u64) -> io::Result<Self> {
        let heard = place + lookahead;
        let first = (heard / PACKET).saturating_sub(PREROLL);
        let pre_skip = (heard - first * PACKET) as u16; // below 50 packets
        let mapping = Mapping::of(spec.layout, spec.channels);
        let head = Head { pre_skip, rate: spec.rate.hz(), gain: 0, mapping }.encode();
        let serial = serial(facts);
        let mut pages = PacketWriter::new(Vec::new());
        pages.write_packet(head, serial, PageEnd::EndPage, 0)?;
        pages.write_packet(tags(&facts.comments()), serial, PageEnd::EndPage, 0)?;
        Ok(Self { place, first, pre_skip, serial, pages })
    }

    /// The pages that come before the first of audio.
    pub(crate) fn head(&self) -> &[u8] {
        self.pages.inner()
    }
}

/// Files of a set have different ones, so that players that join them see where one ends (RFC 3533 §4); the same facts give
/// the same file.
fn serial(facts: &Facts) -> u32 {
    // FNV-1a, folded to 32 bits.
    let bytes = facts.recorder.bytes().chain(facts.first.0.to_le_bytes());
    let hash = bytes
        .fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
    (hash >> 32) as u32 ^ hash as u32
}

/// A file that is being written.
pub(crate) struct Stream<S: Store> {
    path: PathBuf,
    tail: Tail<S>,
    begin: Begin,
    /// The sample behind its last one, once that is known.
    end: Option<u64>,
    ended: bool,
    /// The last packet taken: it ends a page, or does not, when it is known what comes next.
    held: Option<Arc<[u8]>>,
    /// Packets taken.
    packets: u64,
    /// Packets and segments of the page that is not ended.
    page: (usize, usize),
    /// Where pages end that are not on the disk yet, and the granule positions that they bring.
    under_way: VecDeque<(u64, u64)>,
    /// Granule position that the disk has.
    there: u64,
}

impl<S: Store> Stream<S> {
    /// Goes on behind the head, which `store` holds.
    pub(crate) fn behind(store: S, path: PathBuf, mut begin: Begin) -> Self {
        let head = std::mem::take(begin.pages.inner_mut()).len() as u64;
        Self {
            path,
            tail: Tail::behind(store, head),
            begin,
            end: None,
            ended: false,
            held: None,
            packets: 0,
            page: (0, 0),
            under_way: VecDeque::new(),
            there: 0,
        }
    }

    pub(crate) fn into_tail(self) -> Tail<S> {
        self.tail
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn tail(&mut self) -> &mut Tail<S> {
        &mut self.tail
    }

    /// Length of the file as it is.
    pub(crate) fn bytes(&self) -> u64 {
        self.tail.written()
    }

    /// Whether no more packets should be taken before a write has succeeded.
    pub(crate) fn is_full(&self) -> bool {
        self.tail.is_full()
    }

    /// Bytes that a write would bring to the disk.
    pub(crate) fn waiting(&self) -> u64 {
        self.tail.end() - self.tail.written()
    }

    /// Number of its first packet.
    pub(crate) fn first(&self) -> u64 {
        self.begin.first
    }

    /// The sample behind those that the disk has.
    pub(crate) fn there(&self) -> u64 {
        self.begin.place + self.there.saturating_sub(u64::from(self.begin.pre_skip))
    }

    /// Whether everything is on the disk and nothing comes any more.
    pub(crate) fn is_finished(&self) -> bool {
        self.ended && self.waiting() == 0
    }

    /// Its last frame ends before the sample `place`; the packets that this takes are still to come.
    pub(crate) fn end(&mut self, place: u64) {
        self.end = Some(place);
    }

    /// Whether it wants more packets.
    pub(crate) fn wants(&self) -> bool {
        !self.ended
    }

    /// Takes the encoder's next packet. Each that is wanted is given, in order.
    pub(crate) fn take(&mut self, packet: &Packet) -> io::Result<()> {
        debug_assert_eq!(packet.0, self.begin.first + self.packets, "no packet is left out");
        let segments = packet.1.len() / 255 + 1;
        if let Some(held) = self.held.take() {
            let full = self.page.0 + 1 >= PAGE_PACKETS;
            let no_room = self.page.1 + held.len() / 255 + 1 + segments > PAGE_SEGMENTS;
            self.write(&held, if full || no_room { PageEnd::EndPage } else { PageEnd::NormalPacket })?;
        }
        self.packets += 1;
        // What a decoder must hear to give the last frame.
        let heard = self.end.map(|place| place - self.begin.place + u64::from(self.begin.pre_skip));
        if heard.is_some_and(|heard| heard <= self.packets * PACKET) {
            self.write(&packet.1, PageEnd::EndStream)?;
            self.ended = true;
        } else {
            self.held = Some(packet.1.clone());
        }
        Ok(())
    }

    /// Writes the last packet taken.
    fn write(&mut self, packet: &[u8], end: PageEnd) -> io::Result<()> {
        let granule = match self.end {
            // RFC 7845 §4.4: the last page counts fewer samples than its packets have, and a decoder trims them.
            Some(place) if end == PageEnd::EndStream => {
                place - self.begin.place + u64::from(self.begin.pre_skip)
            }
            _ => self.packets * PACKET,
        };
        self.page.0 += 1;
        self.page.1 += packet.len() / 255 + 1;
        self.begin.pages.write_packet(packet.to_vec(), self.begin.serial, end, granule)?;
        self.tail.push(self.begin.pages.inner());
        self.begin.pages.inner_mut().clear();
        if end != PageEnd::NormalPacket {
            self.page = (0, 0);
            self.under_way.push_back((self.tail.end(), granule));
        }
        Ok(())
    }

    /// Ends the page, so that all packets taken are in whole pages.
    pub(crate) fn end_page(&mut self) -> io::Result<()> {
        match self.held.take() {
            Some(held) => self.write(&held, PageEnd::EndPage),
            None => Ok(()),
        }
    }

    /// Writes the pages that wait.
    ///
    /// # Errors
    /// What the disk says; what is not written waits on.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let flushed = self.tail.flush();
        while let Some(&(end, granule)) = self.under_way.front()
            && end <= self.tail.written()
        {
            self.there = granule;
            self.under_way.pop_front();
        }
        flushed
    }
}
