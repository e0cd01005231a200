//! A command line that cannot be meant, told in one sentence.
//!
//! Owns: the words for each way in which clap refuses; it says such things in a paragraph or two, of which half is Rust's. Never: judges
//! a value; `values` does, and what it says stands in the sentence as it is.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, Error};

use crate::words::joined;

/// The command line of `T`. Options are given what is below 0 as well, so that each says itself what it takes instead.
pub(crate) fn command<T: CommandFactory>() -> Command {
    T::command().mut_subcommands(|command| {
        command.mut_args(|option| {
            let takes_a_value = !option.is_positional() && option.get_action().takes_values();
            if takes_a_value { option.allow_negative_numbers(true) } else { option }
        })
    })
}

/// What was wrong, and what to do.
pub(crate) fn sentence(error: &Error) -> String {
    let what = strings(error, ContextKind::InvalidArg);
    let first = what.first().map(String::as_str).unwrap_or_default();
    match error.kind() {
        ErrorKind::ValueValidation => match std::error::Error::source(error) {
            Some(why) => format!("{}: {why}", name(first)),
            None => other(error),
        },
        ErrorKind::InvalidValue => {
            let known = strings(error, ContextKind::ValidValue);
            match strings(error, ContextKind::InvalidValue).first().filter(|value| !value.is_empty()) {
                Some(value) => format!("{}: \"{value}\" is none of {}", name(first), joined(&known, "and")),
                None if known.is_empty() => {
                    format!("{first} needs a value behind it; --help tells what it takes")
                }
                None => format!("{first} needs a value behind it: {}", joined(&known, "or")),
            }
        }
        ErrorKind::UnknownArgument => unknown(error, first),
        ErrorKind::InvalidSubcommand => {
            let word = strings(error, ContextKind::InvalidSubcommand).concat();
            let near = suggested(&strings(error, ContextKind::SuggestedSubcommand));
            format!("there is no command {word}{near}; --help lists them")
        }
        ErrorKind::MissingRequiredArgument => {
            let missing: Vec<String> = what.iter().map(|one| needed(one)).collect();
            let verb = if missing.len() == 1 { "is" } else { "are" };
            format!("{} {verb} missing; --help has examples", joined(&missing, "and"))
        }
        ErrorKind::ArgumentConflict => {
            let others = strings(error, ContextKind::PriorArg);
            if others.is_empty() || others == what {
                return format!("{first} is given more than once; give it once");
            }
            format!("{first} cannot be used with {}; leave one of them out", joined(&others, "or"))
        }
        ErrorKind::TooManyValues => {
            let value = strings(error, ContextKind::InvalidValue).concat();
            format!("{} takes no value; leave \"{value}\" out", name(first))
        }
        ErrorKind::InvalidUtf8 => {
            "an argument has bytes that are no text in UTF-8; see what your terminal sends".to_owned()
        }
        _ => other(error),
    }
}

fn unknown(error: &Error, word: &str) -> String {
    if word.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit() || c == '.')) {
        return format!(
            "{word} stands where an option could; if it is a value, join it to its option, as --option={word}"
        );
    }
    if !word.starts_with('-') {
        return format!("\"{word}\" is one argument too many; --help tells what the command takes");
    }
    let near = suggested(&strings(error, ContextKind::SuggestedArg));
    format!("there is no option {word} here{near}; --help lists them")
}

fn suggested(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!(", perhaps {} is meant", joined(near, "or")) }
}

/// The strings of a context, whether it has one or several.
fn strings(error: &Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(one)) => vec![one.clone()],
        Some(ContextValue::Strings(all)) => all.clone(),
        _ => Vec::new(),
    }
}

/// `--port <PORT>` without its value.
fn name(of: &str) -> &str {
    of.split(' ').next().unwrap_or(of)
}

/// An argument that is missing; of a group, `<--tone <HZ>|--index>`, one of it.
fn needed(argument: &str) -> String {
    let group = argument.strip_prefix("<-").and_then(|rest| rest.strip_suffix('>'));
    match group {
        Some(group) => {
            let all: Vec<String> = format!("-{group}").split('|').map(str::to_owned).collect();
            format!("one of {}", joined(&all, "and"))
        }
        None if argument.starts_with('<') => {
            argument.trim_end_matches("...").trim_matches(['<', '>']).to_owned()
        }
        None => argument.to_owned(),
    }
}

/// What has no words here: clap's, without how the command is called.
fn other(error: &Error) -> String {
    let paragraphs = error.to_string();
    let parts = paragraphs.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    let told =
        parts.filter(|part| !part.is_empty() && !part.starts_with("Usage:") && !part.starts_with("For more"));
    let what = told.collect::<Vec<_>>().join("; ");
    let what = what.strip_prefix("error: ").unwrap_or(&what);
    format!("{}; --help tells what it takes", what.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cli;

    fn told(arguments: &[&str]) -> String {
        let line = [&["audyn"], arguments].concat();
        sentence(&command::<Cli>().try_get_matches_from(&line).expect_err(&format!("{line:?} is refused")))
    }

    #[test]
    fn each_way_to_be_wrong_has_its_sentence() {
        let send = ["send", "-m", "239.1.2.3", "--index"];
        let of = |more: &[&str]| told(&[&send[..], more].concat());
        assert_eq!(of(&["-c", "-1"]), "--channels: \"-1\" is no number of channels; give 1 to 64");
        assert_eq!(of(&["-p", "0"]), "--port: \"0\" is no UDP port; give 1 to 65535");
        assert_eq!(
            of(&["--duration", "-5"]),
            "--duration: \"-5\" is no time; give seconds, as 60 or 0.5, or 500ms"
        );
        assert_eq!(
            of(&["--duration", "-5s"]),
            "-5 stands where an option could; if it is a value, join it to its option, as --option=-5"
        );
        assert_eq!(of(&["-c"]), "--channels <N> needs a value behind it; --help tells what it takes");
        assert_eq!(of(&["--tone", "1000", "--index"]), "--index is given more than once; give it once");
        assert_eq!(
            told(&["send", "-m", "239.1.2.3"]),
            "one of --tone <HZ>, --file <WAV>, --index and --pcap <PCAP> is missing; --help has examples"
        );
        assert_eq!(told(&["send", "--index"]), "--destination <IP> is missing; --help has examples");
        assert_eq!(
            told(&["record", "-m", "239.1.2"]),
            "--address: \"239.1.2\" is no IP address; give one in numbers, as 239.1.2.3 or ff0e::1"
        );
        assert_eq!(
            told(&["record", "-o", "a", "--archive-root", "b"]),
            "--output <FILE> cannot be used with --archive-root <DIR>; leave one of them out"
        );
        assert_eq!(
            told(&["recrod"]),
            "there is no command recrod, perhaps record is meant; --help lists them"
        );
        assert_eq!(
            told(&["record", "--link-offset", "5"]),
            "there is no option --link-offset here, perhaps --tai-offset is meant; --help lists them"
        );
        assert_eq!(
            told(&["status", "now"]),
            "\"now\" is one argument too many; --help tells what the command takes"
        );
        assert_eq!(told(&["verify"]), "DIR is missing; --help has examples");
        assert_eq!(told(&["status", "--json=5"]), "--json takes no value; leave \"5\" out");
        assert_eq!(of(&["--loss=-1%"]), "--loss: \"-1%\" is no chance; give 0% to 100%, as 1%");
        assert_eq!(told(&["selftest", "--require", "x"]), "--require: \"x\" is none of rights and archive");
        assert_eq!(
            told(&["selftest", "--require"]),
            "--require <WHAT> needs a value behind it: rights or archive"
        );
    }

    /// Whatever an option is given, it answers in our words, and on one line.
    #[test]
    fn no_option_answers_in_the_words_of_a_library() {
        let theirs = [
            "invalid",
            "digit",
            "..=",
            "not in",
            "syntax",
            "parse",
            "unexpected",
            "too large",
            "too small",
            "target",
            "number would",
            "empty string",
            "error:",
        ];
        let mut asked = 0;
        for subcommand in command::<Cli>().get_subcommands() {
            let options = subcommand.get_arguments().filter(|one| !one.is_positional());
            for option in options.filter(|one| one.get_action().takes_values()) {
                let long = format!("--{}", option.get_long().expect("each option has a long name"));
                for value in ["-1", "x", "", "99999999999999999999999", "-0.5", "1e999"] {
                    let line = ["audyn", subcommand.get_name(), &long, value];
                    let Err(error) = command::<Cli>().try_get_matches_from(line) else { continue };
                    let sentence = sentence(&error);
                    let words = sentence.replace(&long, "");
                    assert!(!theirs.iter().any(|theirs| words.contains(theirs)), "{line:?}: {sentence}");
                    assert!(!sentence.contains('\n'), "{line:?}: {sentence}");
                    asked += usize::from(error.kind() == ErrorKind::ValueValidation);
                }
            }
        }
        assert!(asked > 100, "of {asked} values it was said what is wrong with them");
    }
}
