//! Captures of a network: pcap and pcapng files, read packet by packet.
//!
//! Owns: the file's form, its times in nanoseconds, and what is said of a file that ends early or was cut. Never: a guess at
//! what a packet means (`layers` takes it apart, `shape` recognises flows), the whole file in memory.

mod layers;
pub(crate) mod leap;
pub(crate) mod shape;
mod survey;

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};

pub(crate) use layers::{Datagram, Layers, take_apart};
pub(crate) use survey::{Survey, survey};

use crate::words::counted;

/// What is read at once.
const BUFFER: usize = 1 << 20;

/// The largest block that is believed. Capture programs cut packets at 256 KiB.
const LARGEST_BLOCK: usize = 64 << 20;

/// A capture that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaptureError {
    #[error("cannot read {path}: {source}; check the name and the permissions")]
    Open { path: PathBuf, source: std::io::Error },
    #[error("{path} is no capture; give a pcap or pcapng file, as tcpdump and Wireshark write them")]
    NoCapture { path: PathBuf },
    #[error(
        "{path} cannot be read on after {}: {reason}; mend it with Wireshark's editcap, or capture again",
        counted(*.packets, "packet")
    )]
    Damaged { path: PathBuf, packets: u64, reason: String },
}

/// A packet as the file has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    /// When it was captured: nanoseconds since 1970 of the capturing machine's clock.
    pub(crate) at: i64,
    pub(crate) link: Linktype,
    pub(crate) data: &'a [u8],
}

/// What is to be said of a file that was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    pub(crate) form: &'static str,
    pub(crate) packets: u64,
    /// Packets of which the file holds only the beginning.
    pub(crate) cut: u64,
    /// Packets without a time, which are passed over.
    pub(crate) timeless: u64,
    /// Packets that are older than the one before them.
    pub(crate) backward: u64,
    pub(crate) links: BTreeMap<i32, u64>,
    pub(crate) first: Option<i64>,
    pub(crate) last: Option<i64>,
    /// The coarsest resolution of its times, in nanoseconds; finer than that is 1.
    pub(crate) resolution: i64,
    /// The file ends inside a packet.
    pub(crate) ends_early: bool,
}

/// How an interface of a pcapng file counts time.
#[derive(Debug, Clone, Copy)]
struct Interface {
    link: Linktype,
    units_per_second: u128,
    offset_seconds: i64,
}

impl Interface {
    /// The options `if_tsresol` and `if_tsoffset` (draft-ietf-opsawg-pcapng §4.2).
    fn new(link: Linktype, resolution: u8, offset_seconds: i64) -> Option<Self> {
        let exponent = u32::from(resolution & 0x7f);
        let units_per_second = if resolution & 0x80 == 0 {
            10u128.checked_pow(exponent)?
        } else {
            1u128.checked_shl(exponent)?
        };
        Some(Self { link, units_per_second, offset_seconds })
    }

    fn nanos(&self, high: u32, low: u32) -> i64 {
        let units = u128::from(high) << 32 | u128::from(low);
        let (seconds, rest) = (units / self.units_per_second, units % self.units_per_second);
        let part = rest * 1_000_000_000 / self.units_per_second;
        (seconds as i64)
            .saturating_add(self.offset_seconds)
            .saturating_mul(1_000_000_000)
            .saturating_add(part as i64)
    }

    fn resolution(&self) -> i64 {
        (1_000_000_000 / self.units_per_second).max(1) as i64
    }
}

/// What the blocks before have told.
#[derive(Debug, Default)]
struct Section {
    interfaces: Vec<Option<Interface>>,
    big_endian: bool,
}

/// Reads a capture from its beginning, until `each` breaks it off or the file ends.
pub(crate) fn read(
    path: &Path,
    mut each: impl FnMut(Frame<'_>) -> ControlFlow<()>,
) -> Result<About, CaptureError> {
    let file = File::open(path).map_err(|source| CaptureError::Open { path: path.to_owned(), source })?;
    let mut reader = create_reader(BUFFER, file).map_err(|error| match error {
        PcapError::ReadError => CaptureError::Open {
            path: path.to_owned(),
            source: std::io::Error::other(if path.is_dir() {
                "it is a directory"
            } else {
                "nothing of it can be read"
            }),
        },
        _ => CaptureError::NoCapture { path: path.to_owned() },
    })?;
    let mut about = About { resolution: 1, ..About::default() };
    let mut section = Section::default();
    let mut before = None;
    let damaged = |about: &About, reason: &str| CaptureError::Damaged {
        path: path.to_owned(),
        packets: about.packets,
        reason: reason.to_owned(),
    };
    let mut room = BUFFER;
    loop {
        let wanting = match reader.next() {
            Ok((length, block)) => {
                let flow = take(&block, &mut section, &mut about, &mut before, &mut each);
                reader.consume(length);
                match flow {
                    ControlFlow::Continue(()) => continue,
                    ControlFlow::Break(()) => return Ok(about),
                }
            }
            Err(PcapError::Eof) => return Ok(about),
            Err(PcapError::UnexpectedEof) => {
                about.ends_early = true;
                return Ok(about);
            }
            Err(PcapError::Incomplete(_)) => false,
            Err(PcapError::BufferTooSmall) => true,
            Err(_) => return Err(damaged(&about, "what follows is no block of a capture")),
        };
        let had = reader.data().len();
        if reader.refill().is_err() {
            return Err(damaged(&about, "the disk does not give it"));
        }
        if (wanting || reader.data().len() == had) && !reader.reader_exhausted() {
            room *= 2;
            if room > LARGEST_BLOCK || !reader.grow(room) {
                return Err(damaged(&about, "the next packet claims to be larger than any is"));
            }
        }
    }
}

/// One block of the file.
fn take(
    block: &PcapBlockOwned<'_>,
    section: &mut Section,
    about: &mut About,
    before: &mut Option<i64>,
    each: &mut impl FnMut(Frame<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let (at, link, data, original) = match block {
        PcapBlockOwned::LegacyHeader(header) => {
            about.form = "pcap";
            let digits = if header.is_nanosecond_precision() { 9 } else { 6 };
            // The upper bits of the field tell of a frame check sequence, not of the link.
            let link = Linktype(header.network.0 & 0xffff);
            section.interfaces = vec![Interface::new(link, digits, 0)];
            return ControlFlow::Continue(());
        }
        PcapBlockOwned::NG(Block::SectionHeader(header)) => {
            about.form = "pcapng";
            *section = Section { interfaces: Vec::new(), big_endian: header.big_endian() };
            return ControlFlow::Continue(());
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(told)) => {
            // The parser reads the offset as little-endian whatever the section says.
            let offset = if section.big_endian { told.if_tsoffset.swap_bytes() } else { told.if_tsoffset };
            section.interfaces.push(Interface::new(told.linktype, told.if_tsresol, offset));
            return ControlFlow::Continue(());
        }
        PcapBlockOwned::Legacy(packet) => {
            let Some(Some(interface)) = section.interfaces.first() else { return ControlFlow::Continue(()) };
            let per_unit = 1_000_000_000 / interface.units_per_second as i64;
            about.resolution = about.resolution.max(interface.resolution());
            let at = i64::from(packet.ts_sec) * 1_000_000_000 + i64::from(packet.ts_usec) * per_unit;
            (at, interface.link, packet.data, packet.origlen)
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            let Some(Some(interface)) = section.interfaces.get(packet.if_id as usize) else {
                about.timeless += 1;
                return ControlFlow::Continue(());
            };
            about.resolution = about.resolution.max(interface.resolution());
            let at = interface.nanos(packet.ts_high, packet.ts_low);
            (at, interface.link, packet.packet_data(), packet.origlen)
        }
        PcapBlockOwned::NG(Block::SimplePacket(_)) => {
            about.timeless += 1;
            return ControlFlow::Continue(());
        }
        PcapBlockOwned::NG(_) => return ControlFlow::Continue(()),
    };
    about.packets += 1;
    about.cut += u64::from(data.len() < original as usize);
    about.backward += u64::from(before.replace(at).is_some_and(|before| at < before));
    about.first = Some(about.first.map_or(at, |first| first.min(at)));
    about.last = Some(about.last.map_or(at, |last| last.max(at)));
    *about.links.entry(link.0).or_default() += 1;
    each(Frame { at, link, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolutions_of_pcapng() {
        let micros = Interface::new(Linktype::ETHERNET, 6, 0).unwrap();
        assert_eq!(micros.nanos(0, 1_500_000), 1_500_000_000);
        assert_eq!(micros.resolution(), 1_000);
        let nanos = Interface::new(Linktype::ETHERNET, 9, -3_600).unwrap();
        let at = 1_700_000_000_123_456_789u64;
        assert_eq!(nanos.nanos((at >> 32) as u32, at as u32), at as i64 - 3_600_000_000_000);
        let binary = Interface::new(Linktype::ETHERNET, 0x80 | 10, 0).unwrap();
        assert_eq!(binary.nanos(0, 1_536), 1_500_000_000);
        let finest = Interface::new(Linktype::ETHERNET, 12, 0).unwrap();
        assert_eq!((finest.nanos(1, 0), finest.resolution()), (4_294_967, 1));
        assert!(Interface::new(Linktype::ETHERNET, 0x7f, 0).is_none());
    }
}
