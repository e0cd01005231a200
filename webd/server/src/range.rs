//! One byte range out of a `Range` header (RFC 9110 §14).
//!
//! Several ranges in one request are answered with the whole file, as the clause allows: no player asks for them.

/// What a request gets of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// The bytes `first..=last`.
    Bytes {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte, inside the file.
        last: u64,
    },
    /// Nothing: the range begins behind the end.
    Outside,
}

impl Part {
    /// What `header` asks of a file of `length` bytes. What cannot be read is ignored (§14.2).
    pub(crate) fn asked(header: &str, length: u64) -> Self {
        let Some((unit, set)) = header.split_once('=') else { return Self::Whole };
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return Self::Whole;
        }
        let Some((first, last)) = set.trim().split_once('-') else { return Self::Whole };
        match (position(first), position(last)) {
            (Some(Position::Missing), Some(Position::At(suffix))) => match (suffix, length) {
                (0, _) | (_, 0) => Self::Outside,
                _ => Self::Bytes { first: length.saturating_sub(suffix), last: length - 1 },
            },
            (Some(Position::At(first)), Some(Position::Missing)) if first < length => {
                Self::Bytes { first, last: length - 1 }
            }
            (Some(Position::At(first)), Some(Position::At(last))) if first > last => Self::Whole,
            (Some(Position::At(first)), Some(Position::At(last))) if first < length => {
                Self::Bytes { first, last: last.min(length - 1) }
            }
            (Some(Position::At(_)), Some(_)) => Self::Outside,
            _ => Self::Whole,
        }
    }
}

enum Position {
    Missing,
    At(u64),
}

/// Digits only (`parse` would take a `+`); a number too large for a file is one beyond any file's end.
fn position(text: &str) -> Option<Position> {
    let text = text.trim();
    if text.is_empty() {
        Some(Position::Missing)
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Some(Position::At(text.parse().unwrap_or(u64::MAX)))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let bytes = |first, last| Part::Bytes { first, last };
        for (header, part) in [
            ("bytes=0-0", bytes(0, 0)),
            ("bytes=0-", bytes(0, 99)),
            ("bytes=10-19", bytes(10, 19)),
            ("BYTES = 10 - 19", bytes(10, 19)),
            ("bytes=90-1000", bytes(90, 99)),
            ("bytes=-1", bytes(99, 99)),
            ("bytes=-1000", bytes(0, 99)),
            ("bytes=99-99999999999999999999999", bytes(99, 99)),
            ("bytes=100-", Part::Outside),
            ("bytes=100-200", Part::Outside),
            ("bytes=99999999999999999999999-", Part::Outside),
            ("bytes=-0", Part::Outside),
            ("bytes=20-10", Part::Whole),
            ("bytes=", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=+1-+2", Part::Whole),
            ("bytes=0-1,5-6", Part::Whole),
            ("frames=0-1", Part::Whole),
            ("bytes", Part::Whole),
            ("", Part::Whole),
        ] {
            assert_eq!(Part::asked(header, 100), part, "{header}");
        }
    }

    #[test]
    fn an_empty_file_has_no_range() {
        for header in ["bytes=0-", "bytes=0-0", "bytes=-5"] {
            assert_eq!(Part::asked(header, 0), Part::Outside, "{header}");
        }
    }
}
