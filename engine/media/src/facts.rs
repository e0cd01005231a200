//! What a file tells of itself beside its samples: the same facts in BWF's `bext` and iXML, in FLAC's and in Opus's comments.

use audyn_units::{FrameCount, FrameIndex};

/// What is known of a file when it begins. Nothing in it changes while it grows.
///
/// Whoever makes it knows clock and time zone; a format only writes it down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The recorder's identifier: `studio-1`.
    pub recorder: String,
    /// What it is for people, one line: `Studio 1`. May be empty.
    pub description: String,
    /// The program that writes, with its version: `Audyn 0.1.0`.
    pub originator: String,
    /// Position of the first frame: frames since the PTP epoch.
    pub first: FrameIndex,
    /// The same instant in UTC, RFC 3339 with as many digits as it needs: `2026-07-02T13:46:03.5Z`. Empty where no instant is known
    /// (audio out of a capture): `first`, `start_named` and `since_midnight` then say nothing, and no format writes them down.
    pub start_utc: String,
    /// The same instant on the clock that names the file, RFC 3339 with its offset: `2026-07-02T14:46:03.5+01:00`. The clock `ptp`
    /// has no offset from UTC that RFC 3339 could tell; it is told with none: `2026-07-02T13:46:40.5`.
    pub start_named: String,
    /// Frames from midnight to the first frame on the clock that names the file, counted by its reading, also on a day on which
    /// that clock is changed: what `bext` calls TimeReference (EBU Tech 3285).
    pub since_midnight: FrameCount,
    /// TAI − UTC in seconds where it was known.
    pub tai_minus_utc: Option<i64>,
    /// How the position was found, in the ledger's word: `media-clock`, `arrival`. None if the machine's clock was not known.
    pub placed_by: Option<String>,
    /// How good the machine's clock was, in the ledger's word: `ptp-locked`, `ptp-free-running`, `ntp`, `none`.
    pub clock: Option<String>,
    /// The channels' names in file order; fewer than there are channels leaves the rest without.
    pub channel_names: Vec<String>,
}

impl Facts {
    /// The facts as Vorbis comments, for FLAC and Opus: names that players know, and `AUDYN_…` for what none of them has. What is
    /// not known is left out.
    pub fn comments(&self) -> Vec<(String, String)> {
        let title = if self.description.is_empty() { &self.recorder } else { &self.description };
        let position = if self.start_utc.is_empty() { String::new() } else { self.first.0.to_string() };
        let mut comments: Vec<(String, String)> = [
            ("TITLE", title.as_str()),
            ("DESCRIPTION", &self.description),
            ("ENCODER", &self.originator),
            ("DATE", self.start_named.get(..10).unwrap_or_default()),
            ("AUDYN_RECORDER", &self.recorder),
            ("AUDYN_POSITION", &position),
            ("AUDYN_START_UTC", &self.start_utc),
            ("AUDYN_START", &self.start_named),
            ("AUDYN_CLOCK", self.clock.as_deref().unwrap_or_default()),
            ("AUDYN_PLACED_BY", self.placed_by.as_deref().unwrap_or_default()),
            ("TAI_MINUS_UTC", &self.tai_minus_utc.map(|s| s.to_string()).unwrap_or_default()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        let channels = self.channel_names.iter().enumerate();
        comments.extend(channels.map(|(n, name)| (format!("AUDYN_CHANNEL_{}", n + 1), name.clone())));
        comments.retain(|(_, value)| !value.is_empty());
        comments
    }

    /// What [`comments`](Self::comments) told, and the frames since midnight if `TIMEREFERENCE` tells them. What is not there, or
    /// cannot be read, is left as by default.
    pub fn from_comments(comments: &[(String, String)]) -> Self {
        let find = |name: &str| {
            comments.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
        };
        let told = |name: &str| find(name).unwrap_or_default().to_owned();
        let number = |name: &str| find(name).and_then(|value| value.parse().ok());
        let channel =
            |name: &str| name.to_ascii_uppercase().strip_prefix("AUDYN_CHANNEL_")?.parse::<u8>().ok();
        let named = comments.iter().filter_map(|(name, value)| Some((usize::from(channel(name)?), value)));
        let mut channel_names = Vec::new();
        for (n, name) in named.filter(|&(n, _)| n > 0) {
            channel_names.resize(channel_names.len().max(n), String::new());
            channel_names[n - 1].clone_from(name);
        }
        Self {
            recorder: told("AUDYN_RECORDER"),
            description: told("DESCRIPTION"),
            originator: told("ENCODER"),
            first: FrameIndex(number("AUDYN_POSITION").unwrap_or_default()),
            start_utc: told("AUDYN_START_UTC"),
            start_named: told("AUDYN_START"),
            since_midnight: FrameCount(number("TIMEREFERENCE").unwrap_or_default()),
            tai_minus_utc: find("TAI_MINUS_UTC").and_then(|value| value.parse().ok()),
            placed_by: find("AUDYN_PLACED_BY").map(str::to_owned),
            clock: find("AUDYN_CLOCK").map(str::to_owned),
            channel_names,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_tell_what_is_known_and_nothing_else() {
        assert_eq!(Facts::default().comments(), []);
        let facts = Facts {
            recorder: "studio-1".to_owned(),
            description: "Studio 1".to_owned(),
            originator: "Audyn 0.1.0".to_owned(),
            first: FrameIndex(85_590_000),
            start_utc: "2026-07-02T22:46:03.5Z".to_owned(),
            start_named: "2026-07-03T00:46:03.5+02:00".to_owned(),
            tai_minus_utc: Some(37),
            clock: Some("ptp-locked".to_owned()),
            channel_names: vec!["left".to_owned(), String::new(), "talkback".to_owned()],
            ..Facts::default()
        };
        let told: Vec<String> =
            facts.comments().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = [
            "TITLE=Studio 1",
            "DESCRIPTION=Studio 1",
            "ENCODER=Audyn 0.1.0",
            "DATE=2026-07-03",
            "AUDYN_RECORDER=studio-1",
            "AUDYN_POSITION=85590000",
            "AUDYN_START_UTC=2026-07-02T22:46:03.5Z",
            "AUDYN_START=2026-07-03T00:46:03.5+02:00",
            "AUDYN_CLOCK=ptp-locked",
            "TAI_MINUS_UTC=37",
            "AUDYN_CHANNEL_1=left",
            "AUDYN_CHANNEL_3=talkback",
        ];
        assert_eq!(told, expected);
        assert_eq!(Facts::from_comments(&facts.comments()), facts, "and are understood again");
        let odd =
            [("audyn_channel_0".to_owned(), "x".to_owned()), ("AUDYN_POSITION".to_owned(), "-".to_owned())];
        assert_eq!(Facts::from_comments(&odd), Facts::default());
        assert_eq!(Facts { description: String::new(), ..facts }.comments()[0].1, "studio-1");
    }
}
