//! What one volume has of a recorder that the other lacks.
//!
//! Owns: the decision. Never: looks at a disk.
//!
//! Frames count, not names: after a volume was away its files begin and end elsewhere. A file is lacked whose frames are, or were, not all in
//! files of the same format on the other volume. Silence in the place of what a disk did not take (`disk-stall`) is no frame that a file
//! has; other silence is, since both volumes have it. What was deleted counts as being there: nothing that somebody who may has deleted on
//! a volume comes back to it.

use audyn_media::archive::{Kind, Span, without};
use audyn_units::SampleRate;

/// A file, or one that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) kind: Kind,
    pub(super) rate: SampleRate,
    pub(super) span: Span,
    /// What its disk did not take of it.
    pub(super) holes: Vec<Span>,
    /// It is whole: nobody writes it, and it has a sidecar. What is not may get more frames yet.
    pub(super) sealed: bool,
}

/// Pieces by their starts, so that those that touch a span are found at once, however many there are.
struct Sorted<'a> {
    pieces: Vec<&'a Piece>,
    longest: u64,
}

impl<'a> Sorted<'a> {
    fn new(pieces: impl Iterator<Item = &'a Piece>) -> Self {
        let mut pieces: Vec<&Piece> = pieces.collect();
        pieces.sort_by_key(|piece| piece.span);
        let longest = pieces.iter().map(|piece| piece.span.1 - piece.span.0).max().unwrap_or(0);
        Self { pieces, longest }
    }

    fn touching(&self, span: Span) -> impl Iterator<Item = &'a Piece> {
        let from = self.pieces.partition_point(|piece| piece.span.0 + self.longest < span.0);
        let to = self.pieces.partition_point(|piece| piece.span.0 <= span.1);
        self.pieces[from..to.max(from)].iter().copied().filter(move |piece| touches(piece.span, span))
    }
}

/// The places in `there` of what `here` lacks, the newest first. What touches a file of `here` that is not sealed is left for later.
pub(super) fn lacks<'a>(here: impl Iterator<Item = &'a Piece>, there: &[&Piece]) -> Vec<usize> {
    let here = Sorted::new(here);
    let is_lacked = |piece: &Piece| {
        let alike =
            || here.touching(piece.span).filter(|other| other.kind == piece.kind && other.rate == piece.rate);
        if !piece.sealed || alike().any(|other| !other.sealed) {
            return false;
        }
        let mut left = without(vec![piece.span], &piece.holes);
        for other in alike() {
            left = without(left, &without(vec![other.span], &other.holes));
        }
        !left.is_empty()
    };
    let mut lacked: Vec<usize> = (0..there.len()).filter(|&at| is_lacked(there[at])).collect();
    lacked.sort_by_key(|&at| std::cmp::Reverse(there[at].span));
    lacked
}

fn touches(a: Span, b: Span) -> bool {
    a.0 <= b.1 && b.0 <= a.1
}

/// The places in `pieces` of what goes with what was deleted, each with the place of that.
pub(super) fn going(deleted: &[&Piece], pieces: &[&Piece]) -> Vec<(usize, usize)> {
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by_key(|&at| pieces[at].span);
    let mut going = Vec::new();
    for (which, deleted) in deleted.iter().enumerate() {
        let from = order.partition_point(|&at| pieces[at].span.0 < deleted.span.0);
        let to = order.partition_point(|&at| pieces[at].span.0 < deleted.span.1);
        let with = order[from..to.max(from)].iter().filter(|&&at| goes_with(deleted, pieces[at]));
        going.extend(with.map(|&at| (at, which)));
    }
    going.sort_unstable();
    going.dedup_by_key(|(at, _)| *at);
    going
}

/// Whether a file that was deleted takes this one of the other volume with it: it is the same recording, or a part of it.
fn goes_with(deleted: &Piece, piece: &Piece) -> bool {
    deleted.kind == piece.kind
        && deleted.rate == piece.rate
        && piece.span.1 > piece.span.0
        && (piece.span.0 == deleted.span.0
            || deleted.span.0 <= piece.span.0 && piece.span.1 <= deleted.span.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(span: Span) -> Piece {
        Piece { kind: Kind::Wav, rate: SampleRate::HZ_48000, span, holes: Vec::new(), sealed: true }
    }

    fn holed(span: Span, hole: Span) -> Piece {
        Piece { holes: vec![hole], ..piece(span) }
    }

    #[test]
    fn a_file_is_lacked_whose_frames_are_not_all_in_others() {
        let hour = piece((100, 200));
        for (here, is_lacked) in [
            (vec![], true),
            (vec![piece((100, 200))], false),
            (vec![piece((0, 300))], false),
            (vec![piece((100, 150)), piece((150, 200))], false),
            (vec![piece((150, 200)), piece((90, 150))], false),
            (vec![piece((100, 150)), piece((151, 200))], true),
            (vec![piece((100, 199))], true),
            (vec![piece((200, 300)), piece((0, 100))], true),
            // Silence where the disk took nothing is no frame; the rest of it is.
            (vec![holed((100, 200), (120, 121))], true),
            (vec![holed((100, 200), (120, 130)), piece((115, 135))], false),
            (vec![holed((100, 200), (200, 200))], false),
            // Of another format or rate.
            (vec![Piece { kind: Kind::Opus, ..hour.clone() }], true),
            (vec![Piece { rate: SampleRate::HZ_96000, ..hour.clone() }], true),
        ] {
            let found = lacks(here.iter(), &[&hour]);
            assert_eq!(found, if is_lacked { vec![0] } else { vec![] }, "{here:?}");
        }
        // A hole on both volumes is nothing that could be had.
        let holed_here = holed((100, 200), (120, 130));
        assert_eq!(lacks([&holed_here].into_iter(), &[&holed_here]), [0; 0]);
        assert_eq!(lacks([&holed_here].into_iter(), &[&holed((100, 200), (125, 140))]), [0]);
    }

    #[test]
    fn what_is_not_sealed_is_waited_for_and_the_newest_comes_first() {
        let open = Piece { sealed: false, ..piece((150, 160)) };
        let beside = |span| lacks([&open].into_iter(), &[&piece(span)]);
        assert_eq!(beside((100, 200)), [0; 0]);
        assert_eq!(beside((100, 150)), [0; 0]);
        assert_eq!(beside((160, 200)), [0; 0], "it may go on there");
        assert_eq!(beside((100, 149)), [0]);
        assert_eq!(lacks([].into_iter(), &[&open]), [0; 0]);
        let all = [piece((0, 10)), piece((20, 30)), piece((10, 20))];
        assert_eq!(lacks([].into_iter(), &all.each_ref()), [1, 2, 0]);
    }

    #[test]
    fn a_deletion_takes_the_parts_along_and_nothing_else() {
        let deleted = piece((100, 200));
        for (span, goes) in [
            ((100, 200), true),
            ((100, 150), true),
            ((150, 200), true),
            ((100, 300), true),
            ((150, 201), false),
            ((90, 150), false),
            ((200, 300), false),
            ((120, 120), false),
        ] {
            assert_eq!(goes_with(&deleted, &piece(span)), goes, "{span:?}");
        }
        let flac = Piece { kind: Kind::Flac, ..piece((100, 200)) };
        assert!(!goes_with(&deleted, &flac));
        let (first, later, part) = (piece((0, 100)), piece((150, 201)), piece((150, 200)));
        assert_eq!(going(&[&first, &deleted], &[&later, &part, &flac, &first]), [(1, 1), (3, 0)]);
    }
}
