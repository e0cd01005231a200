//! Small words of sentences: numbers with what they count, and lists.

/// A number and its noun: "1 gap", "2 gaps".
pub(crate) fn counted(count: u64, noun: &str) -> String {
    audyn_units::Counted(count, noun).to_string()
}

/// The end of a noun that is counted.
pub(crate) fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// "a", "a and b", "a, b and c".
pub(crate) fn joined(all: &[String], word: &str) -> String {
    match all {
        [] => String::new(),
        [only] => only.clone(),
        [others @ .., last] => format!("{} {word} {last}", others.join(", ")),
    }
}

/// A time in milliseconds, to the microsecond.
pub(crate) fn millis(nanos: i64) -> String {
    format!("{:.3}", nanos as f64 / 1e6)
}

/// What was seen of a value: "14 to 15", "15", or that nothing was.
pub(crate) fn seen(least: Option<u8>, greatest: Option<u8>) -> String {
    match (least, greatest) {
        (Some(least), Some(greatest)) if least != greatest => format!("{least} to {greatest}"),
        (Some(one), _) => one.to_string(),
        _ => "unknown".to_owned(),
    }
}

/// What was odd about a leg: each thing that was counted, with its number.
pub(crate) fn oddities(restarts: u64, jumps: u64, strays: u64, foreign: u64) -> Vec<String> {
    let all = [
        (restarts, "restart", " of the counters"),
        (jumps, "jump", " of the timestamp"),
        (strays, "stray packet", ""),
        (foreign, "packet", " of another source meanwhile"),
    ];
    all.into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, what, rest)| format!("{}{rest}", counted(count, what)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_counted_is_no_oddity() {
        assert_eq!(
            oddities(1, 0, 2, 1),
            ["1 restart of the counters", "2 stray packets", "1 packet of another source meanwhile",]
        );
        assert!(oddities(0, 0, 0, 0).is_empty());
        let ttls = [(Some(14), Some(15)), (Some(15), Some(15)), (None, None)];
        assert_eq!(ttls.map(|(least, greatest)| seen(least, greatest)), ["14 to 15", "15", "unknown"]);
        assert_eq!(millis(-1_500), "-0.002");
    }

    #[test]
    fn one_is_one_and_the_last_has_a_word_before_it() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "gap")), ["0 gaps", "1 gap", "2 gaps"]);
        let of = |all: &[&str]| joined(&all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>(), "or");
        assert_eq!(
            [of(&[]), of(&["a"]), of(&["a", "b"]), of(&["a", "b", "c"])],
            ["", "a", "a or b", "a, b or c"]
        );
    }
}
