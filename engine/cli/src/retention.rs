//! `audyn retention`, `audyn protect` and `audyn unprotect`: what goes by itself, and what never does.
//!
//! Owns: one question to the engine each, and the words. Never: looks at the archive; nor deletes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use audyn_api::client::{Client, ClientError, DEFAULT_SOCKET};
use audyn_api::{
    ConfigDocument, PendingLimits, ProposedLimits, ProposedRecorder, ProtectedFile, RecorderId, Reply,
    Request, RetentionConfig, RetentionPlan, VolumeConfig,
};
use audyn_units::ByteSize;
use clap::Args;

use crate::values::within;
use crate::words::counted;

const RETENTION_EXAMPLES: &str = "\
Examples:
  audyn retention --dry-run                     what the recorders' limits would delete now, the oldest first
  audyn --json retention --dry-run              the same as JSON
  audyn retention --dry-run --recorder studio-1 --days 30
                                                what would go if that recorder kept 30 days; nothing is set by this
  audyn retention --dry-run --floor-percent 10  what would go if the volume were to have a tenth free

What a recorder keeps is set in its configuration, and nothing is deleted where nothing is set:
  \"retention\": { \"days\": 90, \"bytes\": 500000000000, \"make_room\": true }
make_room lets its oldest recordings go where the volume has less than its floor (volume in global.json).
A limit that is made tighter, or set where there was none, acts an hour later; one that is made looser acts at once.

Exit codes: 0 told, 1 the engine does not answer or could not look, 2 it was asked for wrongly.";

const PROTECT_EXAMPLES: &str = "\
Examples:
  audyn protect studio-1/2026-07-02-13.wav      with all formats of that segment; nobody deletes it until
  audyn unprotect studio-1/2026-07-02-13.wav    it is let go

Exit codes: 0 all are as asked, 1 one is not or the engine does not answer, 2 it was asked for wrongly.";

/// Tell what the recorders' limits would delete now, and why. Nothing is deleted by this.
#[derive(Debug, Args)]
#[command(after_help = RETENTION_EXAMPLES)]
pub(crate) struct RetentionArgs {
    /// The engine's socket.
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
    /// Only tell. The engine deletes by itself, once a minute; there is no other way to call this.
    #[arg(long, required = true)]
    dry_run: bool,
    /// Try other limits for this recorder; what isn't given of them stays as it is configured.
    #[arg(long, value_name = "ID", value_parser = recorder_id)]
    recorder: Option<RecorderId>,
    /// Days that it would keep.
    #[arg(long, value_name = "N", requires = "recorder", value_parser = within("number of days", 1..=36_500_u32))]
    days: Option<u32>,
    /// Bytes that it would keep.
    #[arg(long, value_name = "N", requires = "recorder", value_parser = within("number of bytes", 1_000_000..=u64::MAX))]
    bytes: Option<u64>,
    /// Whether its oldest recordings would make room.
    #[arg(long, value_name = "true|false", requires = "recorder", value_parser = truth)]
    make_room: Option<bool>,
    /// Try another floor of the volume, in percent of it.
    #[arg(long, value_name = "N", value_parser = within("share in percent", 0..=90_u8))]
    floor_percent: Option<u8>,
    /// Try another floor of the volume, in bytes; the greater one holds.
    #[arg(long, value_name = "N", value_parser = within("number of bytes", 0..=u64::MAX))]
    floor_bytes: Option<u64>,
}

fn recorder_id(text: &str) -> Result<RecorderId, String> {
    let id = RecorderId::new(text);
    id.map_err(|_| {
        format!("\"{text}\" is no recorder's identifier; give one of the configuration, as studio-1")
    })
}

fn truth(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("\"{text}\" is neither true nor false; give one of both"))
}

impl RetentionArgs {
    fn is_proposal(&self) -> bool {
        self.recorder.is_some() || self.floor_percent.is_some() || self.floor_bytes.is_some()
    }

    /// What is asked for, over what is configured.
    fn proposed(&self, config: &ConfigDocument) -> ProposedLimits {
        let of = |id: &RecorderId| {
            let configured = config.recorders.iter().find(|recorder| recorder.id == *id);
            let before = configured.map_or_else(RetentionConfig::default, |recorder| recorder.retention);
            let retention = RetentionConfig {
                days: self.days.or(before.days),
                bytes: self.bytes.or(before.bytes),
                make_room: self.make_room.unwrap_or(before.make_room),
            };
            ProposedRecorder { id: id.clone(), retention }
        };
        let VolumeConfig { floor_bytes, floor_percent, alarm_hours } = config.global.volume;
        let volume = VolumeConfig {
            floor_bytes: self.floor_bytes.unwrap_or(floor_bytes),
            floor_percent: self.floor_percent.unwrap_or(floor_percent),
            alarm_hours,
        };
        ProposedLimits { recorders: self.recorder.iter().map(of).collect(), volume: Some(volume) }
    }
}

/// Recordings that are to be protected, or let go.
#[derive(Debug, Args)]
#[command(after_help = PROTECT_EXAMPLES)]
pub(crate) struct ProtectArgs {
    /// Recordings, as paths below the archive's root.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Who says so, for the list; none takes the user's name.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// The engine's socket.
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
}

/// Why it wasn't told or done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RetentionError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("no runtime could be started: {0}; free memory or raise the limit of descriptors")]
    Runtime(std::io::Error),
    #[error("{0}")]
    Refused(String),
}

impl RetentionError {
    #[expect(clippy::unused_self, reason = "the same shape as the other commands' errors")]
    pub(crate) fn exit_code(&self) -> u8 {
        1
    }
}

/// Asks the engine one thing.
pub(crate) fn ask(socket: &Path, request: Request) -> Result<Reply, RetentionError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RetentionError::Runtime)?;
    Ok(runtime.block_on(async {
        Client::connect(socket, concat!("audyn ", env!("CARGO_PKG_VERSION"))).await?.request(request).await
    })?)
}

/// Who asks: as he says, or as the system knows him.
pub(crate) fn who(said: Option<String>) -> String {
    let user = || std::env::var("SUDO_USER").or_else(|_| std::env::var("USER"));
    said.or_else(|| user().ok()).filter(|who| !who.is_empty()).unwrap_or_else(|| "audyn".to_owned())
}

/// Asks what would go, and prints it.
pub(crate) fn run(args: &RetentionArgs, json: bool) -> Result<(), RetentionError> {
    debug_assert!(args.dry_run, "clap requires it");
    let proposed = match args.is_proposal() {
        true => {
            let Reply::Config(config) = ask(&args.socket, Request::Config)? else {
                return Err(ClientError::Unexpected.into());
            };
            args.proposed(&config)
        }
        false => ProposedLimits::default(),
    };
    let Reply::RetentionPlan(plan) = ask(&args.socket, Request::RetentionPlan(proposed))? else {
        return Err(ClientError::Unexpected.into());
    };
    if json {
        println!("{}", serde_json::to_string(&plan).expect("a plan is numbers and words"));
    } else {
        print!("{}", describe(&plan, args.is_proposal()));
    }
    Ok(())
}

/// Protects recordings or lets them go, and prints what became of each.
pub(crate) fn protect(args: &ProtectArgs, protected: bool, json: bool) -> Result<(), RetentionError> {
    let who = who(args.who.clone());
    let Reply::Protected(files) =
        ask(&args.socket, Request::Protect { paths: args.paths.clone(), protected, who })?
    else {
        return Err(ClientError::Unexpected.into());
    };
    if json {
        println!("{}", serde_json::to_string(&files).expect("paths and words"));
    } else {
        for ProtectedFile { path, .. } in files.iter().filter(|file| file.refused.is_none()) {
            println!("{path} is {}", if protected { "protected" } else { "let go" });
        }
    }
    let refused: Vec<&str> = files
        .iter()
        .filter_map(|file| file.refused.as_ref())
        .map(|refusal| refusal.detail.as_str())
        .collect();
    if refused.is_empty() { Ok(()) } else { Err(RetentionError::Refused(refused.join("; "))) }
}

/// The plan in words; of limits that are only tried what waits does so only if they are set.
fn describe(plan: &RetentionPlan, is_tried: bool) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for entry in &plan.going {
        let _ = writeln!(text, "{}  {}: {}", entry.path, ByteSize(entry.bytes), entry.why);
    }
    let unlisted = plan.files.saturating_sub(plan.going.len() as u64);
    if unlisted > 0 {
        let _ = writeln!(text, "and {} more", counted(unlisted, "file"));
    }
    let _ = match plan.files {
        0 => write!(text, "nothing would go now"),
        files => write!(text, "{} with {} would go now", counted(files, "file"), ByteSize(plan.bytes)),
    };
    if plan.protected > 0 {
        let _ = write!(text, "; {} protected", counted(plan.protected, "segment"));
    }
    if plan.lacking_bytes > 0 {
        let _ = write!(text, "; the volume would still lack {} to its floor", ByteSize(plan.lacking_bytes));
    }
    text.push('\n');
    for pending in &plan.pending {
        let _ = match is_tried {
            true => writeln!(text, "{}", would_act_in(pending)),
            false => writeln!(text, "{}", acts_in(pending)),
        };
    }
    for note in &plan.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

/// A limit that waits, in words.
pub(crate) fn acts_in(pending: &PendingLimits) -> String {
    let minutes = counted(pending.acts_in_seconds.div_ceil(60), "minute");
    match &pending.recorder {
        Some(recorder) => format!("recorder {recorder}'s limits do not all act yet: in {minutes}"),
        None => format!("the volume is to have more room than before: this acts in {minutes}"),
    }
}

/// One that would wait if it were set now.
fn would_act_in(pending: &PendingLimits) -> String {
    let minutes = counted(pending.acts_in_seconds.div_ceil(60), "minute");
    match &pending.recorder {
        Some(recorder) => {
            format!("if this were set now, recorder {recorder}'s limits would all act in {minutes}")
        }
        None => format!("if this were set now, the volume's floor would act in {minutes}"),
    }
}

#[cfg(test)]
mod tests {
    use audyn_api::{RecorderConfig, RetentionEntry, RetentionReason};

    use super::*;

    #[test]
    fn a_plan_is_told_in_words() {
        assert_eq!(describe(&RetentionPlan::default(), false), "nothing would go now\n");
        let entry = RetentionEntry {
            path: "a/one.wav".to_owned(),
            bytes: 1_500_000,
            start: audyn_units::Timestamp::ZERO,
            reason: RetentionReason::Days,
            why: "it is older than 90 days".to_owned(),
        };
        let plan = RetentionPlan {
            going: vec![entry],
            files: 2,
            bytes: 3_000_000_000,
            recorders: vec![],
            protected: 1,
            lacking_bytes: 7_000,
            pending: vec![
                PendingLimits { recorder: Some("a".to_owned()), acts_in_seconds: 2_461, in_force: None },
                PendingLimits { recorder: None, acts_in_seconds: 3, in_force: None },
            ],
            notes: vec!["the clock".to_owned()],
        };
        assert_eq!(
            describe(&plan, false),
            "a/one.wav  1.5 MB: it is older than 90 days\nand 1 file more\n2 files with 3.0 GB would go now; 1 segment protected; \
             the volume would still lack 7.0 kB to its floor\nrecorder a's limits do not all act yet: in 42 minutes\nthe volume is to have \
             more room than before: this acts in 1 minute\nnote: the clock\n"
        );
        let tried = describe(&plan, true);
        assert!(
            tried.contains("if this were set now, recorder a's limits would all act in 42 minutes\n"),
            "{tried}"
        );
    }

    #[test]
    fn what_is_not_proposed_stays_as_it_is_configured() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: RetentionArgs,
        }
        let parse =
            |line: &str| <Line as clap::Parser>::try_parse_from(line.split(' ')).map(|line| line.args);
        let recorder: RecorderConfig =
            serde_json::from_str(r#"{"id":"a","name":"A","retention":{"days":90,"make_room":true}}"#)
                .unwrap();
        let config = ConfigDocument { recorders: vec![recorder], ..ConfigDocument::default() };
        let of = |line: &str| parse(line).unwrap().proposed(&config);
        let a = of("x --dry-run --recorder a --bytes 5000000");
        let retention = RetentionConfig { days: Some(90), bytes: Some(5_000_000), make_room: true };
        assert_eq!(a.recorders, [ProposedRecorder { id: RecorderId::new("a").unwrap(), retention }]);
        assert_eq!(a.volume, Some(config.global.volume));
        assert_eq!(
            of("x --dry-run --recorder a --days 7 --make-room false").recorders[0].retention.days,
            Some(7)
        );
        let floor = of("x --dry-run --floor-percent 10");
        assert_eq!((floor.recorders.len(), floor.volume.map(|volume| volume.floor_percent)), (0, Some(10)));
        assert!(!parse("x --dry-run").unwrap().is_proposal());
        for bad in ["x --dry-run --days 7", "x --recorder a --days 7", "x --dry-run --recorder A"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
