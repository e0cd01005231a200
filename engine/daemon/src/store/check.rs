//! What a configuration may say: each refusal is a sentence that names the thing and the field.
//!
//! Owns: the bounds. Never: reads or writes a file, or changes a value.

use std::path::{Component, Path};

use audyn_api::frame;
use audyn_api::{
    ClockConfig, ConfigDocument, GlobalConfig, RecorderConfig, Reply, RetentionConfig, ServerFrame,
    SourceConfig, VolumeConfig,
};
use audyn_units::{ChannelCount, Counted, Encoding, SampleRate};

use super::{Change, formats};
use crate::formats::formats_of;

/// Recorders that may be configured.
pub(super) const MAX_RECORDERS: usize = 64;

/// Sources that may be configured.
pub(super) const MAX_SOURCES: usize = 1_000;

/// Bytes of a name for people: of a recorder, a source, a studio's identifier, an interface.
pub(super) const MAX_NAME: usize = 128;

/// The shortest archive period. Below it a recorder makes more files than anybody looks at, and spends its time on opening and syncing
/// them: 64 recorders with 10 s make six files and six ledgers a second, and each is synced with its directory.
pub(super) const MIN_PERIOD_SECONDS: u32 = 10;

/// Bytes of a source's description.
pub(super) const MAX_DESCRIPTION: usize = 1_024;

/// Bytes of the name of a channel.
pub(super) const MAX_CHANNEL_NAME: usize = 64;

/// Bytes of a custom format: what it makes stands in each snapshot.
pub(super) const MAX_FORMAT: usize = 256;

/// Formats of a recorder beside the first: one for each suffix.
pub(super) const MAX_ALSO: usize = 2;

/// The least that a recorder's recordings may be limited to, in bytes.
pub(super) const MIN_KEPT: u64 = 1_000_000;

/// Bytes of the archive root, for the same reason.
pub(super) const MAX_ROOT: usize = 512;

/// Checks the values of a whole document; the sentence names the thing and the field.
pub(super) fn check(document: &ConfigDocument) -> Result<(), String> {
    check_global(&document.global)?;
    if document.sources.len() > MAX_SOURCES {
        return Err(format!("there are more than {MAX_SOURCES} sources; remove some"));
    }
    for (n, source) in document.sources.iter().enumerate() {
        let name = &source.id;
        check_names(source).map_err(|detail| format!("source `{name}`: {detail}"))?;
        if document.sources[..n].iter().any(|other| other.id == *name) {
            return Err(format!("there are two sources `{name}`; give one another id"));
        }
        if source.port == 0 {
            return Err(format!(
                "source `{name}`: port 0 cannot be listened on; use the sender's, usually 5004"
            ));
        }
        check_second_leg(source).map_err(|detail| format!("source `{name}`: {detail}"))?;
        if source.packet_frames == Some(0) {
            return Err(format!(
                "source `{name}`: packet_frames must be above 0; leave it out if it isn't known"
            ));
        }
    }
    if document.recorders.len() > MAX_RECORDERS {
        return Err(format!("there are more than {MAX_RECORDERS} recorders; remove some"));
    }
    let enabled = document.recorders.iter().filter(|r| r.enabled).count();
    let most = usize::from(document.global.active_recorders);
    if enabled > most {
        let enabled = Counted(enabled as u64, "recorder");
        return Err(format!(
            "{enabled} would be enabled, and active_recorders allows {most}; disable some or raise it"
        ));
    }
    for (n, recorder) in document.recorders.iter().enumerate() {
        if document.recorders[..n].iter().any(|other| other.id == recorder.id) {
            return Err(format!("there are two recorders `{}`; give one another id", recorder.id));
        }
        check_recorder(recorder, document)
            .map_err(|detail| format!("recorder `{}`: {detail}", recorder.id))?;
    }
    check_fits(document)
}

/// Clients get the whole document in one frame.
fn check_fits(document: &ConfigDocument) -> Result<(), String> {
    let reply = Reply::Config(Box::new(document.clone()));
    frame::encode(&ServerFrame::Reply { id: u32::MAX, reply }, &mut Vec::new()).map_err(|_| {
        format!(
            "the whole configuration would be longer than the {} bytes that clients take; shorten names and descriptions \
             of the sources, or remove some",
            frame::MAX_BODY
        )
    })
}

fn check_length(field: &str, text: &str, most: usize) -> Result<(), String> {
    let length = text.len();
    if length <= most {
        return Ok(());
    }
    Err(format!("{field} has {length} bytes, more than {most}; shorten it"))
}

/// What is asked of a value that somebody gives now. A file that an earlier version wrote is taken as it is: an engine that does
/// not start because of a name records nothing.
pub(super) fn check_new(change: &Change) -> Result<(), String> {
    match change {
        Change::PutRecorder(new) => {
            new_recorder(new).map_err(|detail| format!("recorder `{}`: {detail}", new.id))
        }
        Change::PutSource(new) => new_source(new).map_err(|detail| format!("source `{}`: {detail}", new.id)),
        Change::Global(new) => check_line("archive_root", &new.archive_root),
        Change::RemoveRecorder(_) | Change::RemoveSource(_) => Ok(()),
    }
}

fn new_recorder(recorder: &RecorderConfig) -> Result<(), String> {
    check_name("name", &recorder.name)?;
    check_name("studio_id", recorder.studio_id.as_deref().unwrap_or_default())?;
    check_line("archive: custom_format", recorder.archive.custom_format.as_deref().unwrap_or_default())?;
    let period = recorder.archive.period_seconds;
    if (1..MIN_PERIOD_SECONDS).contains(&period) {
        return Err(format!(
            "archive: period_seconds {period} is below {MIN_PERIOD_SECONDS}; such short files would keep the disk busy with opening \
             and closing them: 3600 makes a file each hour"
        ));
    }
    Ok(())
}

fn new_source(source: &SourceConfig) -> Result<(), String> {
    check_name("name", &source.name)?;
    // A description may have lines.
    source.description.lines().try_for_each(|line| check_line("description", line))?;
    check_name("interface", source.interface.as_deref().unwrap_or_default())?;
    let mut names = source.channel_names.iter().enumerate();
    names.try_for_each(|(n, name)| check_name(&format!("channel_names[{n}]"), name))
}

/// What a person calls something: one line, which can be seen, and found by typing it.
fn check_name(field: &str, text: &str) -> Result<(), String> {
    check_line(field, text)?;
    if text.trim() == text {
        return Ok(());
    }
    Err(format!("{field} begins or ends with a space; leave that out"))
}

/// Refuses what would break a line, colour a terminal, or turn the text around it.
fn check_line(field: &str, text: &str) -> Result<(), String> {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    match text.chars().find(|&c| hidden(c)) {
        None => Ok(()),
        Some(c) => Err(format!(
            "{field} has a control character (U+{:04X}), which nobody could see; write it in one line of plain text",
            u32::from(c)
        )),
    }
}

/// Checks what a source is called, and its parts.
fn check_names(source: &SourceConfig) -> Result<(), String> {
    check_length("name", &source.name, MAX_NAME)?;
    check_length("description", &source.description, MAX_DESCRIPTION)?;
    check_length("interface", source.interface.as_deref().unwrap_or_default(), MAX_NAME)?;
    check_length("ref_clock", source.ref_clock.as_deref().unwrap_or_default(), MAX_NAME)?;
    if source.channel_names.len() > ChannelCount::MAX {
        return Err(format!(
            "channel_names: {} are more than {}; name each channel once",
            source.channel_names.len(),
            ChannelCount::MAX
        ));
    }
    for (n, name) in source.channel_names.iter().enumerate() {
        check_length(&format!("channel_names[{n}]"), name, MAX_CHANNEL_NAME)?;
    }
    Ok(())
}

fn check_clock(clock: &ClockConfig) -> Result<(), String> {
    let paths = [("clock.device", &clock.device), ("clock.socket", &clock.socket)];
    for (field, path) in paths {
        let path = path.as_deref().unwrap_or("/");
        check_length(field, path, MAX_NAME)?;
        if !Path::new(path).is_absolute() {
            return Err(format!("{field} `{path}` is not an absolute path; start it with /"));
        }
    }
    check_length("clock.interface", clock.interface.as_deref().unwrap_or_default(), MAX_NAME)?;
    if let Some(domain @ 128..) = clock.domain {
        return Err(format!("clock.domain {domain} is outside 0 to 127"));
    }
    if !(1..=1_000_000).contains(&clock.max_offset_micros) {
        return Err(format!("clock.max_offset_micros {} is outside 1 to 1000000", clock.max_offset_micros));
    }
    if clock.holdover_seconds > 604_800 {
        return Err(format!("clock.holdover_seconds {} is above 604800, a week", clock.holdover_seconds));
    }
    Ok(())
}

/// Checks where the second leg is received.
fn check_second_leg(source: &SourceConfig) -> Result<(), String> {
    let Some(leg) = &source.second_leg else { return Ok(()) };
    check_length("second_leg.interface", leg.interface.as_deref().unwrap_or_default(), MAX_NAME)?;
    if leg.port == 0 {
        return Err("second_leg: port 0 cannot be listened on; use the sender's, usually 5004".to_owned());
    }
    if (leg.address, leg.port, &leg.interface) == (source.address, source.port, &source.interface) {
        return Err(
            "second_leg is the first one again; give it another address, port or interface, or leave it out"
                .to_owned(),
        );
    }
    Ok(())
}

fn check_global(global: &GlobalConfig) -> Result<(), String> {
    check_length("archive_root", &global.archive_root, MAX_ROOT)?;
    if !Path::new(&global.archive_root).is_absolute() {
        return Err(format!(
            "archive_root `{}` is not an absolute path; start it with /",
            global.archive_root
        ));
    }
    if let Some(mirror) = &global.mirror {
        check_mirror(mirror, &global.archive_root)?;
    }
    if !(1..=MAX_RECORDERS).contains(&usize::from(global.active_recorders)) {
        return Err(format!("active_recorders {} is outside 1 to {MAX_RECORDERS}", global.active_recorders));
    }
    if !(1_000..=20_000).contains(&global.capture_period_micros) {
        return Err(format!(
            "capture_period_micros {} is outside 1000 to 20000",
            global.capture_period_micros
        ));
    }
    check_clock(&global.clock)?;
    let VolumeConfig { floor_percent, alarm_hours, .. } = global.volume;
    if floor_percent > 90 {
        return Err(format!(
            "volume.floor_percent {floor_percent} is outside 0 to 90; 5 keeps a twentieth of the volume free"
        ));
    }
    if alarm_hours > 8_760 {
        return Err(format!(
            "volume.alarm_hours {alarm_hours} is above 8760, a year; 24 tells of it a day before"
        ));
    }
    if !(65_536..=268_435_456).contains(&global.receive_buffer_bytes) {
        return Err(format!(
            "receive_buffer_bytes {} is outside 65536 to 268435456",
            global.receive_buffer_bytes
        ));
    }
    if global.tai_offset_seconds.is_some_and(|offset| !(1..=255).contains(&offset)) {
        return Err("tai_offset_seconds is outside 1 to 255; it is 37 since 2017, and left out where the kernel knows it".to_owned());
    }
    if global.fifo_priority > 99 {
        return Err(format!("fifo_priority {} is outside 0 to 99", global.fifo_priority));
    }
    Ok(())
}

/// Where the mirror may be, by its name alone: whether its volume is another one is seen where it is written to.
fn check_mirror(mirror: &str, archive_root: &str) -> Result<(), String> {
    check_length("mirror", mirror, MAX_ROOT)?;
    if mirror.chars().any(char::is_control) {
        return Err("mirror has a control character in it; leave it out".to_owned());
    }
    let (here, archive) = (Path::new(mirror), Path::new(archive_root));
    let plain = here.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !here.is_absolute() || !plain {
        return Err(format!("mirror `{mirror}` is not an absolute path without `..`; start it with /"));
    }
    if here.starts_with(archive) || archive.starts_with(here) {
        return Err(format!(
            "mirror `{mirror}` and archive_root `{archive_root}` lie one in the other; give the mirror a directory of its own on another \
             volume"
        ));
    }
    Ok(())
}

fn check_retention(retention: &RetentionConfig) -> Result<(), String> {
    if let Some(days @ (0 | 36_501..)) = retention.days {
        return Err(format!(
            "days {days} is outside 1 to 36500; leave it out to keep recordings whatever their age"
        ));
    }
    match retention.bytes {
        Some(bytes @ 0..MIN_KEPT) => Err(format!(
            "bytes {bytes} is below {MIN_KEPT}, which no recording fits into; leave it out to keep recordings whatever their size"
        )),
        _ => Ok(()),
    }
}

fn check_recorder(recorder: &RecorderConfig, document: &ConfigDocument) -> Result<(), String> {
    check_length("name", &recorder.name, MAX_NAME)?;
    check_length("studio_id", recorder.studio_id.as_deref().unwrap_or_default(), MAX_NAME)?;
    let format = recorder.archive.custom_format.as_deref().unwrap_or_default();
    check_length("archive: custom_format", format, MAX_FORMAT)?;
    if recorder.channels.len() > ChannelCount::MAX {
        return Err(format!("channels: {} are more than {}", recorder.channels.len(), ChannelCount::MAX));
    }
    crate::policy::of(&recorder.archive).map_err(|error| format!("archive: {error}"))?;
    check_retention(&recorder.retention).map_err(|error| format!("retention: {error}"))?;
    if recorder.also.len() > MAX_ALSO {
        return Err(format!("also: {} formats more are too many, {MAX_ALSO} at most", recorder.also.len()));
    }
    // What can be told without the source; its channels come below.
    let (rate, stereo) = (SampleRate::HZ_48000, ChannelCount::STEREO);
    let of =
        |rate, channels, encoding| formats_of(&formats(recorder), &recorder.opus, rate, channels, encoding);
    let Some(wanted) = &recorder.source_id else {
        return of(rate, stereo, Encoding::L24).map(drop).map_err(|error| format!("format: {error}"));
    };
    let source = document
        .sources
        .iter()
        .find(|source| source.id == *wanted)
        .ok_or_else(|| format!("source_id `{wanted}` is not a source; add the source first"))?;
    let map = audyn_core::channels::ChannelMap::new(source.channels, &recorder.channels)
        .map_err(|error| format!("channels: {error}"))?;
    of(source.rate, map.output(), source.encoding).map(drop).map_err(|error| format!("format: {error}"))
}
