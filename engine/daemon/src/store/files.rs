//! How the settings stand in their files.
//!
//! Owns: which fields are written. Never: a file itself.
//!
//! An engine refuses a field that it doesn't know, and after a rollback an older one reads what a newer one has written. So a field that
//! came later is written only where it says something: a box whose owner never used what is new in a version can go back. Where somebody
//! did, the older engine says which field it doesn't know, and changes nothing; leaving the limit out quietly would be another
//! configuration than the one that was asked for.
//!
//! *A new field* of any of these, at whatever depth: add it to the structure here with `skip_serializing_if = "is_default"`. The compiler
//! asks for it where it's at the top.

use std::io;

use audyn_api::{ConfigDocument, GlobalConfig, RecorderConfig, RetentionConfig, VolumeConfig};
use serde::Serialize;

/// What a field is that nobody has set.
fn is_default<T: Default + PartialEq>(value: &&T) -> bool {
    **value == T::default()
}

/// The text of a file.
pub(super) fn text_of(name: &str, document: &ConfigDocument) -> io::Result<Vec<u8>> {
    let mut bytes = match name {
        "global.json" => serde_json::to_vec_pretty(&GlobalFile::from(&document.global)),
        "recorders.json" => {
            let recorders: Vec<RecorderFile<'_>> =
                document.recorders.iter().map(RecorderFile::from).collect();
            serde_json::to_vec_pretty(&recorders)
        }
        _ => serde_json::to_vec_pretty(&document.sources),
    }?;
    bytes.push(b'\n');
    Ok(bytes)
}

macro_rules! file_of {
    ($file:ident of $config:ident: $($field:ident: $of:ty),+; later: $($later:ident: $later_of:ty),+) => {
        #[derive(Serialize)]
        struct $file<'a> {
            $($field: &'a $of,)+
            $(#[serde(skip_serializing_if = "is_default")] $later: &'a $later_of,)+
        }

        impl<'a> From<&'a $config> for $file<'a> {
            fn from($config { $($field,)+ $($later),+ }: &'a $config) -> Self {
                Self { $($field,)+ $($later),+ }
            }
        }
    };
}

file_of!(GlobalFile of GlobalConfig:
    archive_root: String, active_recorders: u8, capture_period_micros: u32, receive_buffer_bytes: u32, fifo_priority: u8,
    sync_every_second: bool, tai_offset_seconds: Option<i32>, clock: audyn_api::ClockConfig;
    later: volume: VolumeConfig, mirror: Option<String>
);
file_of!(RecorderFile of RecorderConfig:
    id: audyn_api::RecorderId, name: String, enabled: bool, auto_start: bool, studio_id: Option<String>,
    source_id: Option<audyn_api::SourceId>, channels: Vec<u8>, format: audyn_api::FormatConfig, also: Vec<audyn_api::FormatConfig>,
    opus: audyn_api::OpusConfig, archive: audyn_api::ArchiveConfig;
    later: retention: RetentionConfig
);

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder() -> RecorderConfig {
        serde_json::from_str(r#"{"id":"a","name":"R","also":["opus"],"channels":[1]}"#).unwrap()
    }

    /// The names of a file's fields: of the object in it, or of the first one.
    fn fields(name: &str, document: &ConfigDocument) -> Vec<String> {
        let value: serde_json::Value = serde_json::from_slice(&text_of(name, document).unwrap()).unwrap();
        let object = value.as_object().or_else(|| value[0].as_object()).unwrap();
        object.keys().cloned().collect()
    }

    #[test]
    fn what_nobody_has_set_of_the_later_fields_does_not_stand_in_the_files() {
        let document = ConfigDocument { recorders: vec![recorder()], ..ConfigDocument::default() };
        // As an engine knows them that came before limits did.
        let global = [
            "active_recorders",
            "archive_root",
            "capture_period_micros",
            "clock",
            "fifo_priority",
            "receive_buffer_bytes",
            "sync_every_second",
            "tai_offset_seconds",
        ];
        assert_eq!(fields("global.json", &document), global);
        let recorder = [
            "also",
            "archive",
            "auto_start",
            "channels",
            "enabled",
            "format",
            "id",
            "name",
            "opus",
            "source_id",
            "studio_id",
        ];
        assert_eq!(fields("recorders.json", &document), recorder);
    }

    #[test]
    fn what_somebody_has_set_does_and_is_read_as_it_was_written() {
        let retention = RetentionConfig { make_room: true, ..RetentionConfig::default() };
        let volume = VolumeConfig { alarm_hours: 23, ..VolumeConfig::default() };
        for (retention, volume) in
            [(retention, volume), (RetentionConfig::default(), VolumeConfig::default())]
        {
            let document = ConfigDocument {
                global: GlobalConfig { volume, ..GlobalConfig::default() },
                recorders: vec![RecorderConfig { retention, ..recorder() }, recorder()],
                ..ConfigDocument::default()
            };
            let text = |name| text_of(name, &document).unwrap();
            let global: GlobalConfig = serde_json::from_slice(&text("global.json")).unwrap();
            let recorders: Vec<RecorderConfig> = serde_json::from_slice(&text("recorders.json")).unwrap();
            assert_eq!((global, recorders), (document.global.clone(), document.recorders.clone()));
        }
    }
}
