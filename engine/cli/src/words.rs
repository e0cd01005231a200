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

#[cfg(test)]
mod tests {
    use super::*;

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
