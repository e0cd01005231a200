//! A page of Ogg as bytes (RFC 3533 §6): is it whole, and what is in it. Pages are written by the `ogg` crate; its reader wants a
//! file that is whole, and one that grows or was cut is not.

/// Bytes of a page before its lacing table.
const HEADER: usize = 27;

/// The longest page: header, table, 255 segments of 255 bytes.
pub(crate) const LONGEST: usize = HEADER + 255 + 255 * 255;

/// What every page begins with: the capture pattern and the version.
const BEGIN: &[u8] = b"OggS\0";

/// Granule position of a page on which no packet ends.
const NO_GRANULE: u64 = u64::MAX;

const CONTINUED: u8 = 1;
const END_OF_STREAM: u8 = 4;

/// A whole page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page<'a> {
    bytes: &'a [u8],
}

/// What stands at a place of a file.
#[derive(Debug)]
pub(crate) enum At<'a> {
    /// A whole page.
    Page(Page<'a>),
    /// The beginning of one, or of what could be one.
    Part,
    /// Something else.
    Else,
}

impl<'a> Page<'a> {
    pub(crate) fn at(bytes: &'a [u8]) -> At<'a> {
        if !bytes.starts_with(&BEGIN[..bytes.len().min(BEGIN.len())]) {
            return At::Else;
        }
        let Some(table) = bytes.get(26).and_then(|&n| bytes.get(HEADER..HEADER + usize::from(n))) else {
            return At::Part;
        };
        let length = HEADER + table.len() + table.iter().map(|&n| usize::from(n)).sum::<usize>();
        match bytes.get(..length) {
            None => At::Part,
            Some(bytes) if checksum(bytes) == u32_at(bytes, 22) => At::Page(Self { bytes }),
            Some(_) => At::Else,
        }
    }

    /// A page that [`Page::at`] has found whole.
    pub(crate) fn known(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn len(self) -> usize {
        self.bytes.len()
    }

    /// None if no packet ends on it.
    pub(crate) fn granule(self) -> Option<u64> {
        let granule = u64::from(u32_at(self.bytes, 6)) | u64::from(u32_at(self.bytes, 10)) << 32;
        (granule != NO_GRANULE).then_some(granule)
    }

    pub(crate) fn serial(self) -> u32 {
        u32_at(self.bytes, 14)
    }

    /// Whether its first bytes end a packet that began on an earlier page.
    pub(crate) fn continues(self) -> bool {
        self.bytes[5] & CONTINUED != 0
    }

    pub(crate) fn ends_stream(self) -> bool {
        self.bytes[5] & END_OF_STREAM != 0
    }

    /// Whether its last packet ends on it.
    pub(crate) fn ends_packet(self) -> bool {
        self.table().last().is_some_and(|&n| n < 255)
    }

    fn table(self) -> &'a [u8] {
        &self.bytes[HEADER..HEADER + usize::from(self.bytes[26])]
    }

    /// Its packets or parts of such, and whether each ends here.
    pub(crate) fn packets(self) -> impl Iterator<Item = (&'a [u8], bool)> {
        let (mut table, mut body) = (self.table(), &self.bytes[HEADER + self.table().len()..]);
        std::iter::from_fn(move || {
            let full = table.iter().take_while(|&&n| n == 255).count();
            let (segments, ends) = if full == table.len() { (full, false) } else { (full + 1, true) };
            if segments == 0 {
                return None;
            }
            let (packet, rest) = body.split_at(table[..segments].iter().map(|&n| usize::from(n)).sum());
            (table, body) = (&table[segments..], rest);
            Some((packet, ends))
        })
    }

    /// The same page as the last of its stream.
    pub(crate) fn ending(self) -> Vec<u8> {
        let mut bytes = self.bytes.to_vec();
        bytes[5] |= END_OF_STREAM;
        let sum = checksum(&bytes);
        bytes[22..26].copy_from_slice(&sum.to_le_bytes());
        bytes
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// CRC-32 of a page whose own field counts as zeros: polynomial 0x04C11DB7, not reflected, from 0 (RFC 3533 §6).
fn checksum(page: &[u8]) -> u32 {
    let of = |sum: u32, byte: u8| sum << 8 ^ TABLE[usize::from((sum >> 24) as u8 ^ byte)];
    let sum = page[..22].iter().fold(0, |sum, &byte| of(sum, byte));
    let sum = [0; 4].iter().fold(sum, |sum, &byte| of(sum, byte));
    page[26..].iter().fold(sum, |sum, &byte| of(sum, byte))
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut sum = (i as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            sum = sum << 1 ^ if sum >> 31 == 1 { 0x04C1_1DB7 } else { 0 };
            bit += 1;
        }
        table[i] = sum;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use ogg::writing::{PacketWriteEndInfo as End, PacketWriter};

    use super::*;

    /// The pages of packets of these lengths, by the crate that writes them; the last of them ends the stream.
    fn pages(lengths: &[usize]) -> Vec<u8> {
        let mut writer = PacketWriter::new(Vec::new());
        for (n, &length) in lengths.iter().enumerate() {
            let end = if n + 1 == lengths.len() { End::EndStream } else { End::NormalPacket };
            writer.write_packet(vec![n as u8; length], 7, end, n as u64).unwrap();
        }
        writer.into_inner()
    }

    #[test]
    fn packets_are_read_as_they_were_written_also_across_pages() {
        let lengths = [0, 1, 254, 255, 256, 70_000, 3, 255 * 255, 9];
        let bytes = pages(&lengths);
        let (mut at, mut found, mut part) = (0, Vec::new(), Vec::new());
        let mut last = None;
        while let At::Page(page) = Page::at(&bytes[at..]) {
            assert_eq!(page.serial(), 7);
            assert_eq!(page.continues(), !part.is_empty());
            for (bytes, ends) in page.packets() {
                part.extend_from_slice(bytes);
                if ends {
                    found.push(std::mem::take(&mut part));
                }
            }
            assert_eq!(page.ends_packet(), part.is_empty());
            assert_eq!(page.granule().is_none(), !page.packets().any(|(_, ends)| ends));
            at += page.len();
            last = Some(page);
        }
        assert_eq!(at, bytes.len());
        let expected: Vec<Vec<u8>> =
            lengths.iter().enumerate().map(|(n, &length)| vec![n as u8; length]).collect();
        assert_eq!(found, expected);
        let last = last.unwrap();
        assert!(
            last.ends_stream() && last.ending() == bytes[bytes.len() - last.len()..],
            "the same checksum"
        );
    }

    #[test]
    fn a_byte_less_is_a_part_and_a_bit_turned_is_something_else() {
        let bytes = pages(&[300]);
        for length in 0..bytes.len() {
            assert!(matches!(Page::at(&bytes[..length]), At::Part), "{length}");
        }
        for at in (0..bytes.len()).filter(|at| !(26..29).contains(at)) {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            assert!(matches!(Page::at(&wrong), At::Else), "{at}");
        }
    }
}
