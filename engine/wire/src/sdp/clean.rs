//! The text before its structure: line ends, letters, and lines that a receiver has no use for.
//!
//! Owns: making the text one that a strict reader takes, with each line keeping its number. Never: a change to a
//! line whose meaning we use, other than its white space.

use std::borrow::Cow;
use std::format;
use std::string::String;
use std::vec::Vec;

/// Lines that never say anything to a receiver: a fault in one of them must not cost the recording.
const UNUSED: [char; 9] = ['b', 'e', 'k', 'p', 'r', 't', 'u', 'x', 'z'];

/// The text with one clean line a line.
pub(super) fn clean(bytes: &[u8], oddities: &mut Vec<String>) -> String {
    let text = String::from_utf8_lossy(bytes);
    if let Cow::Owned(_) = text {
        oddities.push("The text is not UTF-8; unknown letters were replaced.".into());
    }
    let mut text: &str = &text;
    if let Some(rest) = text.strip_prefix('\u{feff}') {
        oddities.push("The text begins with a byte order mark, which was left out.".into());
        text = rest;
    }
    if let Some(rest) = text.strip_suffix('\0') {
        oddities.push("The text ends in NUL bytes, which were left out.".into());
        text = rest.trim_end_matches('\0');
    }
    if text.contains('\n') && text.matches('\n').count() != text.matches("\r\n").count() {
        oddities.push("Lines end in LF instead of CRLF.".into());
    } else if text.replace("\r\n", "").contains('\r') {
        oddities.push("Lines end in CR instead of CRLF.".into());
    }

    // A carriage return counts as a line end by itself, as it did on old machines, but CRLF is one end.
    let unified = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut out = String::with_capacity(text.len() + 16);
    let (mut timed, mut indented) = (false, false);
    for (place, raw) in unified.split('\n').enumerate() {
        let line = raw.trim();
        indented |= line.len() != raw.len() && !line.is_empty();
        timed |= line.starts_with("t=");
        out.push_str(&one_line(line, place + 1, oddities));
        out.push_str("\r\n");
    }
    if indented {
        oddities.push("Lines begin or end with blanks, which were left out.".into());
    }
    if !timed {
        oddities.push("There is no t= line; the session is taken as permanent.".into());
    }
    out
}

fn one_line<'a>(line: &'a str, number: usize, oddities: &mut Vec<String>) -> Cow<'a, str> {
    let mut letters = line.chars();
    match (letters.next(), letters.next()) {
        (Some(key), Some('=')) if UNUSED.contains(&key) => Cow::Borrowed(""),
        (Some('o'), Some('=')) if !origin_is_whole(&line[2..]) => {
            oddities
                .push(format!("Line {number} (o=) has not the six fields of an origin and was left out."));
            Cow::Borrowed("")
        }
        (Some('m'), Some('=')) => {
            let joined = line.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            if joined != line {
                oddities.push(format!("Line {number} (m=) has more than one blank between fields."));
            }
            Cow::Owned(joined)
        }
        _ => Cow::Borrowed(line),
    }
}

fn origin_is_whole(value: &str) -> bool {
    let fields: Vec<&str> = value.split_ascii_whitespace().collect();
    let token = |s: &str| s.bytes().all(|b| b.is_ascii_alphanumeric());
    matches!(fields[..], [_, _, version, net, kind, _] if version.parse::<u64>().is_ok() && token(net) && token(kind))
}
