//! A file of JSON that a person may have edited: its value, or what is wrong with it, where, in words that such a person knows.
//!
//! Owns: the words; serde's are for programmers, and call an object a map. Never: a file.

use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

/// The value that these bytes are; else a sentence without its end, which the caller gives it: what to do.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = lines(&bytes[..error.valid_up_to()]);
            return Err(format!("line {line} is not text in UTF-8"));
        }
    };
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.starts_with('\u{feff}') {
        return Err("it begins with a byte order mark, which JSON has not".to_owned());
    }
    let mut from = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut from)
        .map_err(|error| words(text, Some(error.path()), error.inner()))?;
    from.end().map_err(|error| words(text, None, &error))?;
    Ok(value)
}

/// The number of the line that these bytes end in.
fn lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count() + 1
}

fn words(text: &str, path: Option<&Path>, error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = message.strip_suffix(&place).unwrap_or(&message);
    let named = path.map_or_else(String::new, |path| place_of(path, message));
    match error.classify() {
        Category::Eof => {
            format!("it ends in line {}, and {}", lines(text.trim_end().as_bytes()), unclosed(message))
        }
        Category::Syntax | Category::Io => {
            // What is wrong with the end of a line is counted to the next one.
            let place = match error.column() {
                0 => format!("line {}", error.line().saturating_sub(1).max(1)),
                column => format!("line {}, column {column}", error.line()),
            };
            format!("{place}{named}: {}", syntax(message))
        }
        Category::Data => format!("line {}{named}: {}", error.line(), data(message)),
    }
}

/// What the end of the file leaves open.
fn unclosed(message: &str) -> &'static str {
    match message {
        "EOF while parsing a list" => "a list is not closed by ]",
        "EOF while parsing an object" => "an object is not closed by }",
        "EOF while parsing a string" => "a text is not closed by its quote",
        _ => "a value is not whole",
    }
}

fn syntax(message: &str) -> String {
    let words = match message {
        "expected value" => "no value can begin like this here; texts stand in quotes",
        "expected ident" => {
            "this is no word that is known; true, false and null are, and texts stand in quotes"
        }
        "expected `:`" => "a colon is missing behind the name",
        "expected `,` or `]`" | "expected `,` or `}`" => "a comma or the closing bracket is missing",
        "trailing comma" => "a comma stands before the closing bracket",
        "trailing characters" => "something stands behind the end",
        "key must be a string" => "the name of a field must stand in quotes",
        "invalid number" | "number out of range" => "this number is none",
        "invalid escape" => "no such character is written with a backslash",
        "recursion limit exceeded" => "there are too many brackets in brackets",
        _ if message.starts_with("control character") => {
            "a text must end, by its quote, in the line where it begins"
        }
        _ => return format!("this is no JSON ({message})"),
    };
    words.to_owned()
}

/// Which entry and which field, as far as it is known: ", entry 2, archive.layout".
fn place_of(path: &Path, message: &str) -> String {
    // What is unknown or missing is named by the message itself.
    let names_it = message.starts_with("unknown field") || message.starts_with("duplicate field");
    let mut fields: Vec<String> = Vec::new();
    let mut entry = String::new();
    for (depth, segment) in path.iter().enumerate() {
        match segment {
            Segment::Seq { index } if depth == 0 => entry = format!(", entry {}", index + 1),
            Segment::Seq { index } => match fields.last_mut() {
                Some(list) => *list += &format!("[{index}]"),
                None => fields.push(format!("[{index}]")),
            },
            Segment::Map { key } => fields.push(key.clone()),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    if names_it {
        fields.pop();
    }
    if fields.is_empty() { entry } else { format!("{entry}, {}", fields.join(".")) }
}

/// What serde says of a value that does not fit.
fn data(message: &str) -> String {
    let fits = ["invalid type: ", "invalid value: ", "invalid length "];
    let misfit = fits.iter().find_map(|start| message.strip_prefix(start)?.split_once(", expected "));
    if let Some((found, wanted)) = misfit {
        return format!("{} stands where {} should", found_as(found), wanted_as(wanted));
    }
    if let Some(field) = message.strip_prefix("missing field ") {
        return format!("{field} is missing");
    }
    if let Some(field) = message.strip_prefix("duplicate field ") {
        return format!("{field} stands there twice");
    }
    for what in ["unknown field ", "unknown variant "] {
        if let Some((name, known)) = message.strip_prefix(what).and_then(|rest| rest.split_once(", ")) {
            let known = known.strip_prefix("expected ").unwrap_or(known);
            let known = known.strip_prefix("one of ").unwrap_or(known);
            return format!("{name} is not known here; known are {}", known.replace("` or `", "` and `"));
        }
    }
    match message {
        "invalid IP address syntax" => "this is no IP address; one is 239.69.1.2".to_owned(),
        ours => ours.to_owned(),
    }
}

/// "map" and "integer `5`", for people.
fn found_as(found: &str) -> String {
    let (kind, value) = found.split_once(' ').unwrap_or((found, ""));
    match (kind, value.trim_matches('`')) {
        ("map", _) => "an object {…}".to_owned(),
        ("sequence", _) => "a list […]".to_owned(),
        ("null", _) | ("unit", _) => "null".to_owned(),
        ("string", text) => format!("the text {text}"),
        ("integer" | "floating", number) => format!("the number {}", number.trim_start_matches("point `")),
        ("boolean", word) => word.to_owned(),
        _ => format!("a value of another kind ({found})"),
    }
}

/// "u16" and "struct SourceConfig", for people.
fn wanted_as(wanted: &str) -> String {
    let words = match wanted {
        "a sequence" => "a list […]",
        "a map" => "an object {…}",
        "a string" => "a text in quotes",
        "a boolean" => "true or false",
        "a borrowed string" => "a text in quotes",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number",
        "i32" | "i64" => "a whole number, which may be below 0",
        "IpAddr" | "IPv4 or IPv6 address" | "IP address" => "an IP address in quotes",
        _ if wanted.starts_with("struct ") => "an object {…}",
        _ if wanted.starts_with("enum ") => "a word in quotes",
        _ => return wanted.to_owned(),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use audyn_api::{GlobalConfig, RecorderConfig, SourceConfig};

    use super::*;

    fn of<T: DeserializeOwned>(text: &str) -> String {
        match read::<T>(text.as_bytes()) {
            Err(told) => told,
            Ok(_) => panic!("{text:?} is taken"),
        }
    }

    /// A source with this besides what it must have.
    fn source(more: &str) -> String {
        format!(r#"[{{"id":"a","name":"A","address":"239.1.1.1",{more}}}]"#)
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        for (text, told) in [
            ("", "it is empty"),
            ("\n \n", "it is empty"),
            ("\u{feff}[]", "it begins with a byte order mark, which JSON has not"),
            ("[", "it ends in line 1, and a list is not closed by ]"),
            ("[{\n\"id\": \"a\"\n\n", "it ends in line 2, and an object is not closed by }"),
            ("[{\"id\": \"a", "it ends in line 1, and a text is not closed by its quote"),
            ("[{\"id\": ", "it ends in line 1, and a value is not whole"),
            ("hello", "line 1, column 1: no value can begin like this here; texts stand in quotes"),
            (
                "[nul]",
                "line 1, column 5, entry 1: this is no word that is known; true, false and null are, and texts stand in quotes",
            ),
            ("[{id:1}]", "line 1, column 3, entry 1: the name of a field must stand in quotes"),
            ("[{\"id\" 1}]", "line 1, column 8, entry 1: a colon is missing behind the name"),
            (
                "[{\"id\":\"a\" \"name\":\"b\"}]",
                "line 1, column 12, entry 1: a comma or the closing bracket is missing",
            ),
            ("[{\"id\":\"a\",}]", "line 1, column 12, entry 1: a comma stands before the closing bracket"),
            (
                "[{\"id\":\"a\nb\"}]",
                "line 1, entry 1, id: a text must end, by its quote, in the line where it begins",
            ),
            ("[] x", "line 1, column 4: something stands behind the end"),
            (
                &source("\"encoding\":7"),
                "line 1, column 56, entry 1, encoding: no value can begin like this here; texts stand in quotes",
            ),
        ] {
            assert_eq!(of::<Vec<SourceConfig>>(text), told, "{text:?}");
        }
        assert_eq!(read::<Vec<SourceConfig>>(b"[\n\xff]").unwrap_err(), "line 2 is not text in UTF-8");
        assert_eq!(read::<Vec<SourceConfig>>(b" [ ]\n"), Ok(Vec::new()));
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_field_and_never_in_serdes_words() {
        let second = format!(
            "[{},\n{}]",
            &source("\"port\":1").trim_matches(['[', ']']),
            &source("\"port\":70000").trim_matches(['[', ']'])
        );
        for (text, told) in [
            ("{", "line 1: an object {…} stands where a list […] should"),
            ("[5]", "line 1, entry 1: the number 5 stands where an object {…} should"),
            ("[null]", "line 1, entry 1: null stands where an object {…} should"),
            ("[{}]", "line 1, entry 1: `id` is missing"),
            ("[{\"id\":5}]", "line 1, entry 1, id: the number 5 stands where a text in quotes should"),
            (
                &second,
                "line 2, entry 2, port: the number 70000 stands where a whole number from 0 to 65535 should",
            ),
            (
                &source("\"port\":1.5"),
                "line 1, entry 1, port: the number 1.5 stands where a whole number from 0 to 65535 should",
            ),
            (
                &source("\"port\":\"1\""),
                "line 1, entry 1, port: the text \"1\" stands where a whole number from 0 to 65535 should",
            ),
            (
                &source("\"encoding\":\"L20\""),
                "line 1, entry 1, encoding: `L20` is not known here; known are `L16` and `L24`",
            ),
            (&source("\"channels\":65"), "line 1, entry 1, channels: channel count 65 is outside 1 to 64"),
            (
                &source("\"channel_names\":[\"L\",1]"),
                "line 1, entry 1, channel_names[1]: the number 1 stands where a text in quotes should",
            ),
            (
                &source("\"source_filter\":true"),
                "line 1, entry 1, source_filter: true stands where an IP address in quotes should",
            ),
            (
                &source("\"second_leg\":{\"address\":\"x\"}"),
                "line 1, entry 1, second_leg.address: this is no IP address; one is 239.69.1.2",
            ),
            (
                &source("\"second_leg\":{\"adress\":\"x\"}"),
                "line 1, entry 1, second_leg: `adress` is not known here; known are `address`, `port`, `interface`, `source_filter`",
            ),
            (&source("\"id\":\"a\""), "line 1, entry 1: `id` stands there twice"),
        ] {
            assert_eq!(of::<Vec<SourceConfig>>(text), told, "{text:?}");
        }
        assert_eq!(
            of::<GlobalConfig>("{\"sync_every_second\":1}"),
            "line 1, sync_every_second: the number 1 stands where true or false should"
        );
        assert!(
            of::<GlobalConfig>("{\"archive_rot\":1}")
                .starts_with("line 1: `archive_rot` is not known here; known are `archive_root`, ")
        );
        let layout =
            of::<Vec<RecorderConfig>>("[{\"id\":\"a\",\"name\":\"x\",\"archive\":{\"layout\":\"mp3\"}}]");
        assert!(layout.starts_with("line 1, entry 1, archive.layout: `mp3` is not known here"), "{layout}");
    }
}
