//! The JSON that existing clients know: recorders, levels, the messages of `/ws/levels`.
//!
//! Names and shapes are the contract with the browser; numbers are finite always.

use audyn_api::RecorderState;
use audyn_api::{
    ChannelLevel, FlowState, FlowTiming, LevelsFrame, RecorderConfig, RecorderLevels, RecorderSnapshot,
    RetentionConfig,
};
use audyn_units::Dbfs;
use serde::Serialize;

use crate::engine::View;
use crate::legs::Leg;
use crate::time::rfc3339;

/// One recorder.
#[derive(Serialize)]
pub(crate) struct Recorder<'a> {
    id: &'a str,
    name: &'a str,
    enabled: bool,
    /// `stopped`, `recording`, `paused` or `error`
    state: RecorderState,
    /// What `PUT /api/recorders/{id}/config` takes back, revision and all; null for a moment while it is added.
    config: Option<Config<'a>>,
    studio_id: Option<&'a str>,
    levels: Vec<Level<'a>>,
    /// RFC 3339, UTC
    start_time: Option<String>,
    bytes_written: u64,
    /// Relative to the archive root.
    current_file: Option<&'a str>,
    errors: &'a [String],
    /// `waiting`, `receiving`, `silent` or `failed`
    flow_state: FlowState,
    /// Frames that came, since the recording began.
    frames_written: u64,
    /// Frames of silence in the place of lost ones, since the recording began.
    frames_filled: u64,
    /// The same as `frames_filled`.
    lost_frames: u64,
    lost_seconds: f64,
    gaps: u64,
    /// In hertz; 0 without a source.
    rate: u32,
    channel_names: &'a [String],
    /// How its flow stands on the clock; null without a flow.
    timing: Option<FlowTiming>,
    /// The legs of its flow, two where it is protected by a second (ST 2022-7); none without a flow.
    legs: Vec<Leg<'a>>,
    /// What it keeps was limited more tightly and that does not act yet; null if nothing waits.
    pending_limits: Option<PendingLimits>,
}

/// Limits that wait.
#[derive(Serialize)]
struct PendingLimits {
    acts_in_seconds: u64,
    /// What holds until then: to set this again takes the change back.
    in_force: Option<RetentionConfig>,
}

/// A recorder's configuration with the revision of the whole, so that what was read can be changed and sent back
/// and is refused if somebody else was faster.
#[derive(Serialize)]
pub(crate) struct Config<'a> {
    revision: u64,
    #[serde(flatten)]
    config: &'a RecorderConfig,
}

/// The level of one channel.
#[derive(Serialize)]
pub(crate) struct Level<'a> {
    name: Name<'a>,
    /// RMS in dBFS, −144 for silence.
    level_db: f64,
    /// The same as a ratio to full scale.
    level_linear: f64,
    /// Highest sample with hold, in dBFS.
    peak_db: f64,
    clipping: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Name<'a> {
    Given(&'a str),
    Numbered(String),
}

impl<'a> Recorder<'a> {
    /// The recorder of this snapshot, with its latest levels.
    pub(crate) fn new(view: &'a View, recorder: &'a RecorderSnapshot, levels: Option<&LevelsFrame>) -> Self {
        let of_this = |levels: &&RecorderLevels| levels.recorder.as_str() == recorder.id;
        let channels = levels.and_then(|frame| frame.recorders.iter().find(of_this));
        let filled = recorder.frames_filled.0;
        let config = view.recorder_config(&recorder.id);
        let source = config.and_then(|config| config.source_id.as_ref());
        let mut waiting = view.snapshot.retention.pending.iter();
        let flow =
            source.and_then(|id| view.snapshot.flows.iter().find(|flow| flow.source.as_ref() == Some(id)));
        Self {
            id: &recorder.id,
            name: &recorder.name,
            enabled: recorder.enabled,
            state: recorder.state,
            config: config.map(|config| Config { revision: view.config.revision, config }),
            studio_id: recorder.studio_id.as_deref(),
            levels: channels.map(|found| level_list(&found.channels, recorder)).unwrap_or_default(),
            start_time: recorder.start_time.map(rfc3339),
            bytes_written: recorder.bytes_written,
            current_file: recorder.current_file.as_deref(),
            errors: &recorder.errors,
            flow_state: recorder.flow_state,
            frames_written: recorder.frames_written.0,
            frames_filled: filled,
            lost_frames: filled,
            lost_seconds: if recorder.rate == 0 { 0.0 } else { filled as f64 / f64::from(recorder.rate) },
            gaps: recorder.gaps,
            rate: recorder.rate,
            channel_names: &recorder.channel_names,
            timing: flow.map(|flow| flow.timing),
            legs: flow.map(|flow| flow.legs.iter().map(Leg::from).collect()).unwrap_or_default(),
            pending_limits: waiting
                .find(|pending| pending.recorder.as_deref() == Some(recorder.id.as_str()))
                .map(|found| PendingLimits {
                    acts_in_seconds: found.acts_in_seconds,
                    in_force: found.in_force,
                }),
        }
    }
}

/// All recorders in configured order.
pub(crate) fn recorders<'a>(view: &'a View, levels: Option<&LevelsFrame>) -> Vec<Recorder<'a>> {
    view.snapshot.recorders.iter().map(|recorder| Recorder::new(view, recorder, levels)).collect()
}

/// The levels of one recorder, named by its channels.
pub(crate) fn level_list<'a>(channels: &[ChannelLevel], recorder: &'a RecorderSnapshot) -> Vec<Level<'a>> {
    let mut names = recorder.channel_names.iter();
    let named = |(index, level): (usize, &ChannelLevel)| Level {
        name: match names.next() {
            Some(name) => Name::Given(name),
            None => Name::Numbered((index + 1).to_string()),
        },
        level_db: decibels(level.rms),
        level_linear: rounded(10f64.powf(finite(level.rms) / 20.0), 1e6),
        peak_db: decibels(level.held_peak),
        clipping: level.clipping,
    };
    channels.iter().enumerate().map(named).collect()
}

/// JSON has no infinity; what isn't a number reads as silence.
fn finite(level: Dbfs) -> f64 {
    if level.0.is_finite() {
        f64::from(level.0).clamp(f64::from(Dbfs::FLOOR.0), 100.0)
    } else {
        f64::from(Dbfs::FLOOR.0)
    }
}

/// A hundredth of a decibel is far below what an eye sees, and half the bytes.
fn decibels(level: Dbfs) -> f64 {
    rounded(finite(level), 1e2)
}

fn rounded(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

/// One recorder in a message of `/ws/levels`.
#[derive(Serialize)]
struct RecorderMeters<'a> {
    recorder_id: &'a str,
    recorder_name: &'a str,
    studio_id: Option<&'a str>,
    state: RecorderState,
    channels: Vec<Level<'a>>,
}

/// A message of the level sockets.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Message<'a> {
    AllLevels {
        timestamp: String,
        recorders: Vec<RecorderMeters<'a>>,
    },
    Levels {
        timestamp: String,
        #[serde(flatten)]
        recorder: RecorderMeters<'a>,
    },
    Engine {
        connected: bool,
        detail: Option<&'a str>,
    },
}

fn text(message: &Message<'_>) -> String {
    serde_json::to_string(message).expect("strings, numbers and lists are always JSON")
}

fn meters<'a>(view: &'a View, levels: &RecorderLevels) -> Option<RecorderMeters<'a>> {
    let recorder = view.recorder(levels.recorder.as_str())?;
    Some(RecorderMeters {
        recorder_id: &recorder.id,
        recorder_name: &recorder.name,
        studio_id: recorder.studio_id.as_deref(),
        state: recorder.state,
        channels: level_list(&levels.channels, recorder),
    })
}

/// `{"type":"all_levels",…}`
pub(crate) fn all_levels(view: &View, frame: &LevelsFrame) -> String {
    let recorders = frame.recorders.iter().filter_map(|levels| meters(view, levels)).collect();
    text(&Message::AllLevels { timestamp: rfc3339(frame.at), recorders })
}

/// `{"type":"levels",…}` of one recorder; none if the frame has no levels of it.
pub(crate) fn one_recorder_levels(view: &View, frame: &LevelsFrame, id: &str) -> Option<String> {
    let levels = frame.recorders.iter().find(|levels| levels.recorder.as_str() == id)?;
    Some(text(&Message::Levels { timestamp: rfc3339(frame.at), recorder: meters(view, levels)? }))
}

/// `{"type":"engine","connected":…,"detail":…}`: sent when the engine goes away or returns.
pub(crate) fn engine_news(detail: Option<&str>) -> String {
    text(&Message::Engine { connected: detail.is_none(), detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_finite_whatever_comes() {
        let recorder =
            RecorderSnapshot { channel_names: vec!["L".to_owned()], ..RecorderSnapshot::default() };
        let odd = [f32::NAN, f32::NEG_INFINITY, f32::INFINITY, -1e30, 1e30, 0.0, -6.0206];
        let channels: Vec<_> = odd
            .iter()
            .map(|&value| ChannelLevel {
                rms: Dbfs(value),
                peak: Dbfs(value),
                held_peak: Dbfs(value),
                clipping: false,
            })
            .collect();
        let json = serde_json::to_value(level_list(&channels, &recorder)).unwrap();
        for level in json.as_array().unwrap() {
            for name in ["level_db", "level_linear", "peak_db"] {
                assert!(level[name].is_f64(), "{level}");
            }
        }
        assert_eq!(json[0]["level_db"], -144.0);
        assert_eq!(json[1]["level_db"], -144.0);
        assert_eq!(json[3]["peak_db"], -144.0);
        assert_eq!(json[5]["level_linear"], 1.0);
        assert_eq!(json[6]["level_db"], -6.02);
        assert_eq!(json[6]["level_linear"], 0.5);
        assert_eq!((&json[0]["name"], &json[1]["name"]), (&"L".into(), &"2".into()));
    }
}
