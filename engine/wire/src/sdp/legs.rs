//! Which streams a description joins as legs of one (`a=group:DUP`, RFC 7104), and whether what it says of them can be true.
//!
//! Owns: the groups, and a sentence for each that contradicts itself. Never: a choice between two lines that contradict each other.
//!
//! Legs carry the same packets, each on its own way (ST 2022-7), so a description says the same of all of them but for the way:
//!
//! | of two legs | if it differs |
//! |---|---|
//! | encoding, sample rate, channels, packet time, offset of the media clock | an error: one of the lines is wrong |
//! | payload type | told; the first leg is received alone |
//! | address, port, TTL, source filter, reference clock | as it should be: these are the way's |
//! | names and order of the channels | told; those of the first leg count |
//! | what one of them leaves out | the first leg counts; told as of any stream |
//!
//! A payload type belongs to its `m=` line, so that legs may have two (RFC 7104's own examples do); a flow is received by one. A packet
//! time counts in frames, so that 0.12 and 0.125 ms are one. A leg that is switched off or on hold is no contradiction, nor is a group
//! that names a stream which the text leaves out: that group counts as if it weren't there (RFC 5888 §6).

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use audyn_units::Counted;

use super::{Media, SdpError, Session};

/// Streams that carry the same audio (`a=group:DUP`), by their `a=mid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicates {
    /// Their names, in the order of the group; without those that can't be received together with the first.
    pub mids: Vec<String>,
    /// Why they can't be what the group says: an [`SdpError::Legs`].
    pub fault: Option<SdpError>,
}

/// A section that can't be received.
pub(super) struct Unusable {
    pub(super) section: usize,
    pub(super) reason: String,
    /// It is switched off or on hold at the sender, which is no contradiction.
    pub(super) off: bool,
}

/// Finds the groups of `text`, whose streams are known already.
pub(super) fn join(text: &str, unusable: &[Unusable], session: &mut Session) {
    let lines = Lines::new(text);
    let names: Vec<Name<'_>> = lines.names().collect();
    lines.odd_names(&names, &mut session.oddities);
    for (section, number, value) in lines.of("group") {
        let mut words = value.split_ascii_whitespace();
        if !words.next().is_some_and(|semantics| semantics.eq_ignore_ascii_case("DUP")) {
            continue;
        }
        if section.is_some() {
            session.oddities.push(format!(
                "a=group:DUP in line {number} stands below an m= line, where it joins nothing; it was left out."
            ));
            continue;
        }
        let mut mids: Vec<String> = words.map(String::from).collect();
        let group = Group { lines: &lines, number, mids: &mids, names: &names };
        let judged = group.judge(&session.media, unusable, &mut session.oddities);
        let ours =
            session.media.first().is_some_and(|flow| flow.mid.as_ref().is_some_and(|m| mids.contains(m)));
        let fault = match judged {
            Ok(apart) => {
                mids.retain(|mid| !apart.contains(mid));
                if mids.is_empty() {
                    continue;
                }
                None
            }
            Err(problem) => {
                if !ours {
                    session.oddities.push(format!("A group of duplicates contradicts itself: {problem}."));
                }
                Some(SdpError::Legs { problem })
            }
        };
        session.duplication.push(Duplicates { mids, fault });
    }
}

/// The lines of a description, each with its section (none is the session's) and its number.
struct Lines<'a>(Vec<(Option<usize>, usize, &'a str)>);

/// A section's name (`a=mid`).
struct Name<'a> {
    section: usize,
    number: usize,
    mid: &'a str,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let mut section: Option<usize> = None;
        let lines = text.lines().enumerate().map(|(place, line)| {
            if line.starts_with("m=") {
                section = Some(section.map_or(0, |before| before + 1));
            }
            (section, place + 1, line)
        });
        Self(lines.collect())
    }

    /// Each line of an attribute, with its value.
    fn of(&self, name: &str) -> impl Iterator<Item = (Option<usize>, usize, &'a str)> {
        self.0.iter().filter_map(move |&(section, number, line)| {
            let (attribute, value) = line.strip_prefix("a=")?.split_once(':')?;
            attribute.trim().eq_ignore_ascii_case(name).then_some((section, number, value.trim()))
        })
    }

    fn names(&self) -> impl Iterator<Item = Name<'a>> {
        self.of("mid").filter_map(|(section, number, mid)| Some(Name { section: section?, number, mid }))
    }

    /// Names that stand twice. Where a group uses one, that is an error besides.
    fn odd_names(&self, names: &[Name<'_>], oddities: &mut Vec<String>) {
        for (at, name) in names.iter().enumerate() {
            if let Some(before) = names[..at].iter().find(|before| before.mid == name.mid) {
                oddities.push(format!(
                    "a=mid:{} stands twice, in line {} and line {}.",
                    name.mid, before.number, name.number
                ));
            }
        }
    }

    /// The line that says something of a section: its own, or the session's, or else its `m=` line.
    fn saying(&self, section: usize, attribute: &str, says: impl Fn(&str) -> bool) -> usize {
        let found = |level: Option<usize>| {
            let mut lines = self.of(attribute).filter(|&(of, _, value)| of == level && says(value));
            lines.next().map(|(_, number, _)| number)
        };
        let media = || self.0.iter().find(|(of, _, _)| *of == Some(section)).map(|&(_, number, _)| number);
        found(Some(section)).or_else(|| found(None)).or_else(media).unwrap_or(0)
    }
}

/// One group as the text has it.
struct Group<'a> {
    lines: &'a Lines<'a>,
    number: usize,
    mids: &'a [String],
    names: &'a [Name<'a>],
}

impl Group<'_> {
    /// The names of the legs that can't be received together with the first, or what stands against the group, in words; odd things go to
    /// `oddities`.
    fn judge(
        &self,
        media: &[Media],
        unusable: &[Unusable],
        oddities: &mut Vec<String>,
    ) -> Result<Vec<String>, String> {
        let mut legs: Vec<&Media> = Vec::new();
        let mut nobody = None;
        let told = oddities.len();
        for (at, mid) in self.mids.iter().enumerate() {
            if self.mids[..at].contains(mid) {
                return Err(format!("{self} names \"{mid}\" twice, and no stream is a copy of itself"));
            }
            let Some(section) = self.section(mid)? else {
                nobody = nobody.or(Some(mid));
                continue;
            };
            if let Some(leg) = media.iter().find(|media| media.section == section) {
                legs.push(leg);
            } else if let Some(gone) = unusable.iter().find(|unusable| unusable.section == section) {
                if !gone.off {
                    return Err(format!("{self} names \"{mid}\", which can't be received: {}", gone.reason));
                }
                oddities.push(format!(
                    "The leg \"{mid}\" is switched off at the sender, so the stream is not protected."
                ));
            }
        }
        if let Some(nobody) = nobody {
            oddities.truncate(told);
            oddities.push(format!(
                "{self} names \"{nobody}\", and no stream has that a=mid, so the group joins nothing (RFC 5888 §6)."
            ));
            return Ok(self.mids.to_vec());
        }
        // The first of the text is the one that is received, whichever the group names first.
        legs.sort_by_key(|leg| leg.section);
        let mut apart = Vec::new();
        let Some((first, others)) = legs.split_first() else { return Ok(apart) };
        if self.mids.len() == 1 {
            oddities.push(format!("{self} names one stream alone; it joins nothing."));
        }
        for other in others {
            let differences = self.differences(first, other);
            if !differences.is_empty() {
                return Err(format!(
                    "{}, and legs carry the same packets (ST 2022-7)",
                    differences.join(", ")
                ));
            }
            if first.payload_type != other.payload_type {
                let line = |leg: &Media| self.lines.saying(leg.section, "", |_| false);
                oddities.push(format!(
                    "The legs have payload type {} by line {} and {} by line {}; a stream is received by one payload type, so the first leg is \
                     received and not protected by the other.",
                    first.payload_type.get(),
                    line(first),
                    other.payload_type.get(),
                    line(other),
                ));
                apart.extend(other.mid.clone());
                continue;
            }
            for (what, differ) in [
                ("names of the channels", differ(&first.channel_names, &other.channel_names, Vec::is_empty)),
                (
                    "order of the channels",
                    differ(&first.channel_order, &other.channel_order, Option::is_none),
                ),
            ] {
                if differ {
                    oddities.push(format!("The legs differ in the {what}; what the first says counts."));
                }
            }
        }
        Ok(apart)
    }

    /// The one section that has this name, if any has.
    fn section(&self, mid: &str) -> Result<Option<usize>, String> {
        let mut having = self.names.iter().filter(|name| name.mid == mid);
        let Some(name) = having.next() else { return Ok(None) };
        if let Some(second) = having.find(|other| other.section != name.section) {
            return Err(format!(
                "line {} and line {} both say a=mid:{mid}, so {self} may mean either stream",
                name.number, second.number
            ));
        }
        let another = self.names.iter().find(|other| other.section == name.section && other.mid != mid);
        match another {
            Some(other) => Err(format!(
                "line {} and line {} give one stream two names, \"{mid}\" and \"{}\", of which {self} uses one",
                name.number, other.number, other.mid
            )),
            None => Ok(Some(name.section)),
        }
    }

    /// What two legs can't differ in, and do.
    fn differences(&self, first: &Media, second: &Media) -> Vec<String> {
        let mut differences = Vec::new();
        let mut hold = |what: &str, one: String, two: String, line: &dyn Fn(&Media) -> usize| {
            if one != two {
                let (at, other) = (line(first), line(second));
                differences.push(format!("{what} {one} by line {at} and {two} by line {other}"));
            }
        };
        let map = |leg: &Media| {
            let ours = |value: &str| {
                let number = value.split_ascii_whitespace().next();
                number.and_then(|number| number.parse().ok()) == Some(leg.payload_type.get())
            };
            self.lines.saying(leg.section, "rtpmap", ours)
        };
        let media = |leg: &Media| self.lines.saying(leg.section, "", |_| false);
        hold("encoding", first.encoding.to_string(), second.encoding.to_string(), &map);
        let hertz = |leg: &Media| format!("{} Hz", leg.rate.hz());
        hold("sample rate", hertz(first), hertz(second), &map);
        hold("channels", first.channels.to_string(), second.channels.to_string(), &map);
        if let (Some(one), Some(two)) = (first.packet_frames, second.packet_frames) {
            let line = |leg: &Media| match self.lines.saying(leg.section, "ptime", |_| true) {
                line if line == media(leg) => self.lines.saying(leg.section, "framecount", |_| true),
                line => line,
            };
            let frames = |count: u32| Counted(count.into(), "frame").to_string();
            hold("packets of", frames(one), frames(two), &line);
        }
        if let (Some(one), Some(two)) = (first.media_clock_offset, second.media_clock_offset) {
            let line = |leg: &Media| self.lines.saying(leg.section, "mediaclk", |_| true);
            hold("a=mediaclk offset", one.to_string(), two.to_string(), &line);
        }
        differences
    }
}

impl core::fmt::Display for Group<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "line {} (a=group:DUP {})", self.number, self.mids.join(" "))
    }
}

/// Whether both say something, and not the same.
fn differ<T: PartialEq>(one: &T, two: &T, silent: impl Fn(&T) -> bool) -> bool {
    !silent(one) && !silent(two) && one != two
}

#[cfg(test)]
mod tests;
