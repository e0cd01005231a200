//! What an export tells of itself.
//!
//! Owns: the facts in its file's head and the header of its report, from the ledger of the file that it begins in. Never: a frame.

use std::ffi::OsStr;
use std::io::BufReader;

use audyn_units::FrameCount;

use crate::archive::{Piece, RangeReader, Segment};
use crate::ledger::{self, LedgerFacts, LedgerHeader};
use crate::{Facts, FileFormat, Moment, NamingClock};

/// The ledger's header of the file that a range begins in, or the one that comes first; of the other volume's where that cannot be read.
fn first_header(reader: &RangeReader) -> Option<(LedgerHeader, Segment)> {
    let range = reader.range();
    let first = |pieces: &[Piece]| pieces.iter().find_map(|piece| piece.segment);
    let numbers = [first(&range.pieces), first(&range.second)];
    numbers.into_iter().flatten().find_map(|number| {
        let ledger = BufReader::new(reader.ledger(number)?);
        let facts = LedgerFacts::read(ledger, FrameCount::ZERO).ok()?;
        Some((facts.header, range.segments[number].clone()))
    })
}

/// What the file tells of itself, and the first line of its report.
pub(super) fn told(
    reader: &RangeReader,
    format: FileFormat,
    clock: Option<NamingClock<'_>>,
    originator: String,
    file: &OsStr,
) -> (Facts, LedgerHeader) {
    let range = reader.range();
    let first = first_header(reader);
    let segment = first.as_ref().map(|(_, segment)| segment).or(range.segments.first());
    let before = first.as_ref().map(|(header, _)| header.clone());
    // At the segments' own rate; on this timeline it is the same instant.
    let own = segment.map_or(range.from, |segment| range.position_back(segment, range.from));
    let utc = segment.map_or(0, |segment| segment.utc_of(own));
    let tai_minus_utc = segment.and_then(|segment| segment.tai_minus_utc);
    let exact = segment.is_some_and(|segment| segment.exact);
    let moment = match exact {
        // A leap second may lie between the file's end, which knows this offset, and its first frame: UTC was told there.
        true if Moment::of_position(range.from, range.rate, tai_minus_utc)
            == Moment::of_utc(utc, range.rate) =>
        {
            Moment::of_position(range.from, range.rate, tai_minus_utc)
        }
        _ => Moment::of_utc(utc, range.rate),
    };
    let start_utc = jiff::Timestamp::from_nanosecond(i128::from(utc)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let zone_name = before.as_ref().and_then(|header| header.zone.clone());
    let zone = zone_name.as_deref().and_then(|name| jiff::tz::TimeZone::get(name).ok());
    let zone = zone.unwrap_or(jiff::tz::TimeZone::UTC);
    let recorder = segment.map(|segment| segment.recorder.clone()).unwrap_or_default();
    let mut facts = Facts {
        recorder: recorder.clone(),
        description: recorder.clone(),
        originator,
        first: range.from,
        start_utc: start_utc.to_string(),
        tai_minus_utc,
        placed_by: before.as_ref().and_then(|header| header.placed_by.clone()),
        clock: before.as_ref().and_then(|header| header.clock).map(|clock| clock.name().to_owned()),
        ..Facts::default()
    };
    moment.enter(&mut facts, clock.unwrap_or(NamingClock::Zone(&zone)), tai_minus_utc);
    let header = LedgerHeader {
        audyn_ledger: ledger::VERSION,
        recorder,
        studio: segment.and_then(|segment| segment.studio.clone()),
        file: file.to_string_lossy().into_owned(),
        first_position: range.from,
        start_utc: start_utc.to_string(),
        zone: zone_name,
        rate: range.rate,
        channels: range.channels.into(),
        bits: format.bits(),
        placed_by: facts.placed_by.clone(),
        clock: before.as_ref().and_then(|header| header.clock),
        tai_minus_utc,
    };
    (facts, header)
}
