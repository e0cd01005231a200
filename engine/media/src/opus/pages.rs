//! The pages of a file, one after the other: also of one that grows, and past damage.

use std::io::{self, Read, Seek, SeekFrom};

use super::head::Head;
use super::page::{At, LONGEST, Page};
use crate::MediaError;

/// The last bytes of a file that are looked through first for its last page.
const TAIL: u64 = 4 * LONGEST as u64;

/// Reads pages.
#[derive(Debug)]
pub(crate) struct Pages<R> {
    source: R,
    /// Bytes from `at` on.
    ahead: Vec<u8>,
    /// Bytes of `ahead` that the last page took.
    used: usize,
    /// Where the last page began.
    began: u64,
    /// The next byte.
    at: u64,
}

impl<R: Read + Seek> Pages<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, ahead: Vec::new(), used: 0, began: 0, at: 0 }
    }

    pub(crate) fn source(&mut self) -> &mut R {
        &mut self.source
    }

    /// Where the last page began.
    pub(crate) fn began(&self) -> u64 {
        self.began
    }

    /// Where it ended.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Goes on at this byte.
    pub(crate) fn go(&mut self, at: u64) {
        self.ahead.clear();
        (self.used, self.at) = (0, at);
    }

    /// The next whole page, past anything else; none if there is none yet.
    pub(crate) fn page(&mut self) -> io::Result<Option<Page<'_>>> {
        self.ahead.drain(..self.used);
        self.used = 0;
        let mut skipped = 0;
        let length = loop {
            let end = self.fill(skipped)?;
            match Page::at(&self.ahead[skipped..]) {
                At::Page(page) => break page.len(),
                // What could be a page once it is written, or the damaged begin of one before others that are whole.
                At::Part | At::Else if skipped < self.ahead.len() => skipped += 1,
                _ => {
                    debug_assert!(end);
                    return Ok(None);
                }
            }
        };
        self.began = self.at + skipped as u64;
        self.at = self.began + length as u64;
        self.used = skipped + length;
        Ok(Some(Page::known(&self.ahead[skipped..self.used])))
    }

    /// Reads until the longest page would lie behind `skipped`; whether the file ends before.
    fn fill(&mut self, skipped: usize) -> io::Result<bool> {
        if self.ahead.len() - skipped >= LONGEST {
            return Ok(false);
        }
        let wanted = (skipped + 2 * LONGEST - self.ahead.len()) as u64;
        self.source.seek(SeekFrom::Start(self.at + self.ahead.len() as u64))?;
        self.source.by_ref().take(wanted).read_to_end(&mut self.ahead)?;
        Ok(self.ahead.len() - skipped < LONGEST)
    }
}

/// Why a file was refused, before its name is known.
pub(crate) enum Refusal {
    Io(io::Error),
    /// What it is instead, behind "it".
    NotOpus(String),
}

impl From<io::Error> for Refusal {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

impl Refusal {
    pub(crate) fn named(self, what: &str) -> MediaError {
        let what = what.to_owned();
        match self {
            Self::Io(source) => MediaError::Read { what, source },
            Self::NotOpus(reason) => MediaError::NotOpus { what, reason: format!("it {reason}") },
        }
    }
}

/// Reads the two packets before the audio, and stands behind them; the stream's serial number.
pub(crate) fn headers<R: Read + Seek>(pages: &mut Pages<R>) -> Result<(Head, u32), Refusal> {
    pages.go(0);
    let no = |reason: &str| Refusal::NotOpus(reason.to_owned());
    let first = pages.page()?.ok_or_else(|| no("has no whole page of Ogg"))?;
    let serial = first.serial();
    let head = first.packets().next().map_or(Err(String::new()), |(packet, _)| Head::parse(packet));
    let head = head.map_err(Refusal::NotOpus)?;
    if pages.began() != 0 {
        return Err(no("does not begin with a page of Ogg"));
    }
    let mut tags = 0;
    loop {
        let page = pages.page()?.ok_or_else(|| no("ends inside its headers"))?;
        if page.serial() != serial {
            return Err(no("has other streams beside Opus"));
        }
        let (part, ends) = page.packets().next().unwrap_or((&[], false));
        if tags == 0 && !part.starts_with(b"OpusTags") {
            return Err(no("has no comments behind its header"));
        }
        tags += part.len();
        if ends {
            return Ok((head, serial));
        }
    }
}

/// The last page that leaves no packet open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Last {
    /// Its first byte, and the one behind it.
    pub(crate) began: u64,
    pub(crate) end: u64,
    pub(crate) granule: u64,
    pub(crate) ended: bool,
}

/// Finds the last page of the stream `serial` behind the byte `from`. Looks through the file's end first, and through more of
/// it only where that holds none.
pub(crate) fn last_page<R: Read + Seek>(
    pages: &mut Pages<R>,
    from: u64,
    serial: u32,
) -> io::Result<Option<Last>> {
    let (at, ahead, used, began) = (pages.at, std::mem::take(&mut pages.ahead), pages.used, pages.began);
    let found = look(pages, from, serial);
    (pages.at, pages.ahead, pages.used, pages.began) = (at, ahead, used, began);
    found
}

fn look<R: Read + Seek>(pages: &mut Pages<R>, from: u64, serial: u32) -> io::Result<Option<Last>> {
    let length = pages.source.seek(SeekFrom::End(0))?;
    let mut reach = TAIL;
    loop {
        let start = length.saturating_sub(reach).max(from);
        pages.go(start);
        let mut last = None;
        while let Some(page) = pages.page()? {
            if let (Some(granule), true, true) = (page.granule(), page.ends_packet(), page.serial() == serial)
            {
                let ended = page.ends_stream();
                last = Some(Last { began: pages.began, end: pages.at, granule, ended });
            }
        }
        if last.is_some() || start == from {
            return Ok(last);
        }
        reach *= 4;
    }
}
