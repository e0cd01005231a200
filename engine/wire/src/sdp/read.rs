//! From the structure of a description to what it means for a receiver.

use std::format;
use std::net::IpAddr;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use audyn_units::{ChannelCount, Counted, Encoding, PayloadType, SampleRate};
use sdp_types::{Attribute, Connection, ParserError};

use super::clean::clean;
use super::{MAX_BYTES, Media, Origin, SdpError, Session, legs};

/// The largest payload of a packet (AES67-2018 §7.2), for a check of what ptime promises.
const MAX_PAYLOAD: usize = 1440;

/// Attributes that some makers add and no standard of the field names; they change nothing for a receiver.
const MAKERS_OWN: [&str; 4] = ["keywds", "framecount", "clock-domain", "sync-time"];

pub(super) fn session(bytes: &[u8]) -> Result<Session, SdpError> {
    if bytes.len() > MAX_BYTES {
        return Err(SdpError::TooLong);
    }
    let mut oddities = Vec::new();
    let text = clean(bytes, &mut oddities);
    if !text.trim_start().starts_with("v=0\r\n") {
        return Err(SdpError::NotSdp);
    }
    let whole = sdp_types::Session::parse(text.as_bytes()).map_err(|error| explain(&error))?;
    if whole.medias.is_empty() {
        return Err(SdpError::NoMedia);
    }

    let mut out = Session {
        name: whole.session_name.trim().to_string(),
        // sdp-types puts an origin of its own where there is none; the text tells.
        origin: text.contains("\r\no=").then(|| origin(&whole.origin)),
        media: Vec::new(),
        unusable: Vec::new(),
        duplication: Vec::new(),
        oddities,
    };
    if out.origin.is_none() && !out.oddities.iter().any(|oddity| oddity.contains("(o=)")) {
        out.oddities.push("There is no o= line; the sender doesn't name itself.".into());
    }
    let mut unusable = Vec::new();
    for (section, media) in whole.medias.iter().enumerate() {
        let mut scope = Scope { section, session: &whole, media, oddities: &mut out.oddities };
        match scope.legs() {
            Ok(legs) => out.media.extend(legs),
            Err(reason) => {
                unusable.push(legs::Unusable { section, reason: reason.clone(), off: scope.is_off() });
                out.unusable.push(SdpError::Media { media: scope.line(), reason });
            }
        }
    }
    legs::join(&text, &unusable, &mut out);
    Ok(out)
}

fn origin(origin: &sdp_types::Origin) -> Origin {
    Origin {
        username: origin.username.clone(),
        session_id: origin.sess_id.clone(),
        version: origin.sess_version,
        address: origin.unicast_address.clone(),
    }
}

fn explain(error: &ParserError) -> SdpError {
    let (line, problem) = match error {
        ParserError::NoVersion => return SdpError::NotSdp,
        ParserError::InvalidLineFormat(line, _) => {
            (*line, "it is not a letter, an equals sign and a value".into())
        }
        ParserError::InvalidFieldEncoding(line, field) => (*line, format!("its {field} is not UTF-8")),
        ParserError::InvalidFieldFormat(line, field) => (*line, format!("its {field} can't be read")),
        ParserError::MissingField(line, field) => (*line, format!("its {field} is missing")),
        ParserError::FieldTrailingData(line, field) => (*line, format!("there is more after its {field}")),
        ParserError::MultipleOrigins(line) => (*line, "o= stands twice".into()),
        ParserError::MultipleSessionNames(line) => (*line, "s= stands twice".into()),
        ParserError::MultipleSessionDescription(line) | ParserError::MultipleMediaTitles(line) => {
            (*line, "i= stands twice in one section".into())
        }
        ParserError::MultipleConnections(line) => (*line, "c= stands twice before the first m=".into()),
        other => (0, other.to_string()),
    };
    SdpError::Line { line, problem }
}

/// One `m=` section and the session around it. Where an attribute stands at both levels, the section's counts.
struct Scope<'a> {
    section: usize,
    session: &'a sdp_types::Session,
    media: &'a sdp_types::Media,
    oddities: &'a mut Vec<String>,
}

impl<'a> Scope<'a> {
    fn line(&self) -> String {
        let media = self.media;
        format!("m={} {} {} {}", media.media, media.port, media.proto, media.fmt)
    }

    fn odd(&mut self, what: String) {
        if !self.oddities.contains(&what) {
            self.oddities.push(what);
        }
    }

    /// The values of an attribute: the section's, or the session's if the section has none.
    fn values(&self, name: &str) -> Vec<&'a str> {
        let own = self.own(name);
        if own.is_empty() { values_of(&self.session.attributes, name) } else { own }
    }

    /// The values of an attribute that belongs to the section alone.
    fn own(&self, name: &str) -> Vec<&'a str> {
        values_of(&self.media.attributes, name)
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.values(name).first().copied()
    }

    /// Whether the sender doesn't send it now: its port is 0 (RFC 3264 §6), or it is on hold by an address of zeros (§8.4).
    fn is_off(&self) -> bool {
        let unspecified = |connection: &Connection| {
            let address = connection.connection_address.split('/').next().unwrap_or("");
            address.parse().is_ok_and(|address: IpAddr| address.is_unspecified())
        };
        self.media.port == 0 || self.connections().into_iter().any(unspecified)
    }

    fn legs(&mut self) -> Result<Vec<Media>, String> {
        if !self.media.media.eq_ignore_ascii_case("audio") {
            return Err(format!("it is {}, not audio", self.media.media));
        }
        match self.media.proto.to_ascii_uppercase().as_str() {
            "RTP/AVP" => {}
            "RTP/AVPF" => self.odd("The stream wants feedback (RTP/AVPF), which is not sent.".into()),
            other => return Err(format!("its transport is {other}; only RTP/AVP is received")),
        }
        if self.media.port == 0 {
            return Err("its port is 0, which means that it is switched off at the sender".into());
        }
        if self.media.num_ports.is_some_and(|ports| ports > 1) {
            self.odd("The m= line names several ports; the first is received.".into());
        }
        if self.value("inactive").is_some() {
            self.odd("The stream is marked inactive; it may be silent.".into());
        }
        for name in MAKERS_OWN {
            if self.value(name).is_some() {
                self.odd(format!("a={name} is not in AES67; the recording doesn't depend on it."));
            }
        }

        let format = self.format()?;
        let addresses = self.addresses()?;
        let packet_frames = self.packet_frames(format);
        let media_clock_offset = self.media_clock_offset();
        let ref_clock = self.value("ts-refclk").filter(|clock| !clock.is_empty()).map(String::from);
        if ref_clock.is_none() {
            self.odd("There is no a=ts-refclk; the sender doesn't say which clock it follows.".into());
        }
        let mut legs = Vec::with_capacity(addresses.len());
        for (address, ttl) in addresses {
            legs.push(Media {
                section: self.section,
                address,
                port: self.media.port,
                ttl,
                payload_type: format.payload_type,
                encoding: format.encoding,
                rate: format.rate,
                channels: format.channels,
                packet_frames,
                source_filter: self.source_filter(address),
                media_clock_offset,
                ref_clock: ref_clock.clone(),
                mid: self.own("mid").first().map(|mid| (*mid).to_string()),
                channel_names: self.channel_names(format.channels),
                channel_order: self.channel_order(format.payload_type),
            });
        }
        Ok(legs)
    }

    /// The first of the section's payload types that is linear PCM.
    fn format(&mut self) -> Result<Format, String> {
        let mut refused = None;
        for word in self.media.fmt.split_ascii_whitespace() {
            match self.one_format(word) {
                Ok(format) => return Ok(format),
                Err(reason) => refused = refused.or(Some(reason)),
            }
        }
        Err(refused.unwrap_or_else(|| "its m= line names no payload type".into()))
    }

    fn one_format(&mut self, word: &str) -> Result<Format, String> {
        let payload_type = word
            .parse()
            .ok()
            .and_then(|number| PayloadType::new(number).ok())
            .ok_or_else(|| format!("its payload type \"{word}\" is not a number from 0 to 127"))?;
        let map = self.values("rtpmap").into_iter().find_map(|value| {
            let (number, map) = value.split_once(char::is_whitespace)?;
            (number.trim().parse() == Ok(payload_type.get())).then(|| map.trim())
        });
        let Some(map) = map else {
            // RFC 3551 table 4: the two static types that are L16.
            let channels = match payload_type.get() {
                10 => ChannelCount::STEREO,
                11 => ChannelCount::MONO,
                other => return Err(format!("there is no a=rtpmap:{other}, so its encoding is unknown")),
            };
            self.odd(format!(
                "Payload type {payload_type} has no a=rtpmap; RFC 3551 gives it L16 at 44100 Hz.",
                payload_type = payload_type.get()
            ));
            return Ok(Format {
                payload_type,
                encoding: Encoding::L16,
                rate: SampleRate::HZ_44100,
                channels,
            });
        };

        let mut parts = map.split('/').map(str::trim);
        let name = parts.next().unwrap_or("");
        let encoding = match name.to_ascii_uppercase().as_str() {
            "L16" => Encoding::L16,
            "L24" => Encoding::L24,
            _ => return Err(format!("its encoding is {name}; only L16 and L24 are received")),
        };
        let rate = parts.next().unwrap_or("");
        let rate = rate.parse().ok().and_then(|hz| SampleRate::new(hz).ok()).ok_or_else(|| {
            format!("its sample rate is \"{rate}\"; only 44100, 48000 and 96000 Hz are received")
        })?;
        let channels = match parts.next() {
            None | Some("") => {
                self.odd(format!("a=rtpmap says {map} without channels; that means 1 (RFC 8866 §6.6)."));
                ChannelCount::MONO
            }
            Some(count) => count
                .parse()
                .ok()
                .and_then(|count| ChannelCount::new(count).ok())
                .ok_or_else(|| format!("it has \"{count}\" channels; 1 to 64 are received"))?,
        };
        Ok(Format { payload_type, encoding, rate, channels })
    }

    /// The section's `c=` lines, or the session's one.
    fn connections(&self) -> Vec<&'a Connection> {
        let own = &self.media.connections;
        if own.is_empty() { self.session.connection.iter().collect() } else { own.iter().collect() }
    }

    /// Where it is sent.
    fn addresses(&mut self) -> Result<Vec<(IpAddr, Option<u8>)>, String> {
        let connections = self.connections();
        if connections.is_empty() {
            return Err("no c= line says which address it is sent to".into());
        }
        if self.media.connections.is_empty() {
            self.odd("c= stands only at the session's level.".into());
        }
        connections.into_iter().map(|connection| self.one_address(connection)).collect()
    }

    fn one_address(&mut self, connection: &Connection) -> Result<(IpAddr, Option<u8>), String> {
        let text = &connection.connection_address;
        let mut parts = text.split('/');
        let address: IpAddr = parts
            .next()
            .and_then(|address| address.parse().ok())
            .ok_or_else(|| format!("\"{text}\" in its c= line is not an IP address"))?;
        if address.is_unspecified() {
            return Err(format!("its address is {address}, which no stream can be sent to"));
        }
        // RFC 8866 §5.7: IPv4 has /ttl and then /count, IPv6 has /count only.
        let ttl = match (address, parts.next()) {
            (IpAddr::V4(group), None) => {
                if group.is_multicast() {
                    self.odd(format!("c= gives no TTL for the group {group}."));
                }
                None
            }
            (IpAddr::V4(_), Some(ttl)) => {
                let ttl = ttl.parse().ok();
                if ttl.is_none() {
                    self.odd(format!("The TTL in \"{text}\" can't be read and was left out."));
                }
                if parts.next().is_some_and(|count| count != "1") {
                    self.odd(format!("\"{text}\" names several groups; the first is received."));
                }
                ttl
            }
            (IpAddr::V6(_), count) => {
                if count.is_some_and(|count| count != "1") {
                    self.odd(format!("\"{text}\" names several groups; the first is received."));
                }
                None
            }
        };
        Ok((address, ttl))
    }

    fn packet_frames(&mut self, format: Format) -> Option<u32> {
        let from_time = self.value("ptime").and_then(|text| {
            let frames = frames_of_ptime(text, format.rate);
            if frames.is_none() {
                self.odd(format!("a=ptime:{text} is no packet time and was left out."));
            }
            frames
        });
        // RAVENNA's framecount is exact where ptime is rounded; it may be a range, which tells nothing.
        let counted =
            self.value("framecount").and_then(|text| text.parse::<u32>().ok()).filter(|&count| count > 0);
        let frames = match (from_time, counted) {
            (None, None) => {
                self.odd("There is no a=ptime; the packets will tell.".into());
                None
            }
            (Some(frames), Some(count)) if frames != count => {
                self.odd(format!(
                    "a=ptime means {}, a=framecount {count}; the packets will tell.",
                    Counted(frames.into(), "frame")
                ));
                Some(frames)
            }
            (Some(frames), _) => Some(frames),
            (None, Some(count)) => Some(count),
        };
        if let Some(frames) = frames {
            let bytes = u64::from(frames) * format.encoding.frame_bytes(format.channels) as u64;
            if bytes > MAX_PAYLOAD as u64 {
                self.odd(format!(
                    "The packet time makes payloads of {bytes} bytes; AES67 ends at {MAX_PAYLOAD}."
                ));
            }
        }
        frames
    }

    fn media_clock_offset(&mut self) -> Option<u32> {
        let Some(text) = self.value("mediaclk") else {
            self.odd("There is no a=mediaclk; the relation of RTP time to the clock is unknown.".into());
            return None;
        };
        // RFC 7273 §5: an optional "id=...", then the source, then perhaps "rate=...".
        let source = text.split_ascii_whitespace().find(|word| !word.starts_with("id="))?;
        let offset = source.strip_prefix("direct=").and_then(|number| number.parse().ok());
        if offset.is_none() {
            self.odd(format!(
                "a=mediaclk:{text} gives no offset; the relation of RTP time to the clock is unknown."
            ));
        }
        offset
    }

    /// RFC 4570: `incl|excl <nettype> <address types> <destination or *> <sources>`.
    fn source_filter(&mut self, destination: IpAddr) -> Vec<IpAddr> {
        let mut sources = vec![];
        for text in self.values("source-filter") {
            let mut words = text.split_ascii_whitespace();
            let mode = words.next().unwrap_or("");
            let target = words.nth(2);
            if target != Some("*") && target.and_then(|word| word.parse().ok()) != Some(destination) {
                if target.is_none_or(|word| word.parse::<IpAddr>().is_err()) {
                    self.odd(format!("a=source-filter:{text} can't be read and was left out."));
                }
                continue;
            }
            if !mode.eq_ignore_ascii_case("incl") {
                self.odd(format!("a=source-filter:{text} doesn't say whom to include and was left out."));
                continue;
            }
            for word in words {
                let Ok(source) = word.parse() else {
                    self.odd(format!("The source \"{word}\" in a=source-filter is not an IP address."));
                    continue;
                };
                sources.push(source);
            }
        }
        sources
    }

    /// `i=2 channels: Left, Right`, as Dante writes it at either level.
    fn channel_names(&mut self, channels: ChannelCount) -> Vec<String> {
        let titles = [&self.media.media_title, &self.session.session_description];
        let names = titles.into_iter().flatten().find_map(|title| {
            let (count, names) = title.split_once(':')?;
            count.trim().ends_with("channels").then_some(names)
        });
        let names: Vec<String> =
            names.map(|names| names.split(',').map(|n| n.trim().to_string()).collect()).unwrap_or_default();
        if !names.is_empty() && names.len() != channels.get() {
            self.odd(format!(
                "i= names {}, the stream has {channels}; the names were left out.",
                Counted(names.len() as u64, "channel")
            ));
            return Vec::new();
        }
        names
    }

    fn channel_order(&self, payload_type: PayloadType) -> Option<String> {
        self.values("fmtp").into_iter().find_map(|value| {
            let (number, parameters) = value.split_once(char::is_whitespace)?;
            let ours = number.trim().parse() == Ok(payload_type.get());
            let order = parameters.split(';').find_map(|p| p.trim().strip_prefix("channel-order="))?;
            ours.then(|| order.to_string())
        })
    }
}

fn values_of<'a>(attributes: &'a [Attribute], name: &str) -> Vec<&'a str> {
    let named = attributes.iter().filter(|a| a.attribute.trim().eq_ignore_ascii_case(name));
    named.map(|a| a.value.as_deref().unwrap_or("").trim()).collect()
}

#[derive(Clone, Copy)]
struct Format {
    payload_type: PayloadType,
    encoding: Encoding,
    rate: SampleRate,
    channels: ChannelCount,
}

/// Frames in a packet of `text` milliseconds, to the nearest whole one (0.12 ms at 48 kHz is 6); none if there is
/// no such packet.
fn frames_of_ptime(text: &str, rate: SampleRate) -> Option<u32> {
    let millis: f64 = text.parse().ok()?;
    let frames = (millis * f64::from(rate.hz()) / 1000.0).round();
    // A second is past every packet; the comparison also refuses infinities and NaN.
    (frames >= 1.0 && frames <= f64::from(rate.hz())).then_some(frames as u32)
}
