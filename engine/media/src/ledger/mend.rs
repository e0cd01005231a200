//! A ledger that a crash has cut: its torn last line goes, and what became of the file is entered.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use audyn_units::FrameCount;

use super::{LedgerLine, facts::MOST_LINE};
use crate::fix::Step;

/// What is to be done to a ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LedgerFix {
    /// Bytes of a torn line that are cut off.
    pub(crate) torn: u64,
    /// In this order.
    pub(crate) steps: Vec<Step>,
}

/// What is to be done to a ledger, in which `event` is to be entered unless it is its last line already.
pub(crate) fn plan(file: &File, event: Option<&LedgerLine>) -> io::Result<LedgerFix> {
    let length = file.metadata()?.len();
    let begin = length.saturating_sub(2 * MOST_LINE);
    let mut end = vec![0; (length - begin) as usize];
    file.read_exact_at(&mut end, begin)?;
    let whole = end.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let (lines, rest) = end.split_at(whole);
    let mut fix = LedgerFix::default();
    let mut at = begin + whole as u64;
    // What is a line but for its end has lost only that.
    let complete = LedgerLine::parse(rest).is_some();
    if complete {
        at = length + 1;
        fix.steps.push(Step::Write(length, b"\n".to_vec()));
    } else if !rest.is_empty() {
        fix.torn = rest.len() as u64;
        fix.steps.push(Step::Cut(at));
    }
    if let Some(event) = event {
        let bytes = event.encode();
        let last = if complete { rest == &bytes[..bytes.len() - 1] } else { lines.ends_with(&bytes) };
        if !last {
            fix.steps.push(Step::Write(at, bytes));
        }
    }
    Ok(fix)
}

/// Mends a ledger that is open for reading and writing, and enters `event`. Returns when the disk has confirmed it.
///
/// # Errors
/// What the system says.
pub fn mend(file: &File, event: Option<&LedgerLine>) -> io::Result<()> {
    apply(file, &plan(file, event)?)
}

pub(crate) fn apply(file: &File, fix: &LedgerFix) -> io::Result<()> {
    for step in &fix.steps {
        match step {
            Step::Write(at, bytes) => file.write_all_at(bytes, *at)?,
            Step::Cut(length) => file.set_len(*length)?,
        }
    }
    file.sync_data()
}

/// What became of a file whose header counted `declared` and counts `frames` now, for people.
pub(crate) fn became(declared: FrameCount, frames: FrameCount) -> String {
    match declared > frames {
        true => {
            let lost = declared.saturating_sub(frames);
            format!("repaired: the last {lost} that its header counted are not there; the file ends here")
        }
        false => {
            let more = frames.saturating_sub(declared);
            format!(
                "repaired: {more} behind those that its header counted are counted now; silence in them is listed only in part"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use audyn_units::FrameIndex;

    use super::*;
    use crate::ledger::LedgerEvent;

    #[test]
    fn a_torn_line_goes_and_a_whole_one_stays_and_nothing_is_entered_twice() {
        let event = LedgerLine::Event(LedgerEvent {
            position: FrameIndex(9),
            event: "mended".to_owned(),
            detail: "d".to_owned(),
        });
        let told = String::from_utf8(event.encode()).unwrap();
        let gap = r#"{"position":5,"frames":2,"cause":"loss","estimated":false}"#;
        for (before, after) in [
            (format!("{{}}\n{gap}\n"), format!("{{}}\n{gap}\n{told}")),
            (format!("{{}}\n{gap}"), format!("{{}}\n{gap}\n{told}")),
            (format!("{{}}\n{}", &gap[..20]), format!("{{}}\n{told}")),
            (format!("{{}}\n{told}"), format!("{{}}\n{told}")),
            (format!("{{}}\n{}", told.trim_end()), format!("{{}}\n{told}")),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("l");
            std::fs::write(&path, before).unwrap();
            let file = File::options().read(true).write(true).open(&path).unwrap();
            mend(&file, Some(&event)).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
            assert_eq!(plan(&file, Some(&event)).unwrap(), LedgerFix::default(), "once");
        }
    }
}
