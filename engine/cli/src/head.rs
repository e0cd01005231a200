//! `audyn head`: the newest entries of chains, signed, to be kept where whoever has the recordings has not.
//!
//! Owns: which directories are asked, and the files. Never: signs a head that its chain does not hold; writes over a file.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use audyn_media::chain::{HeadKey, Heads, KeptHead};
use audyn_media::{Beneath, MediaError};
use serde::Serialize;

use crate::verify::chains_below;

/// Keys have some hundred bytes.
const MOST_KEY: u64 = 64 * 1024;

const EXAMPLES: &str = "\
The file has two lines: a statement, and its signature by Ed25519 (RFC 8032), which is over the first line without its end. Keep it on
another machine: `audyn verify DIR --head FILE --public KEY` then shows that nothing of what was recorded by then is gone or changed, the
chain's end included. A box makes its key by itself: head-key.pem in its engine's state directory, and head-key.pub.pem for others.

Examples:
  audyn head /srv/recordings --key /var/lib/audyn/engine/head-key.pem -o 2026-07-02.head
  openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout -out public.pem
  audyn verify /srv/recordings --head 2026-07-02.head --public public.pem";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct HeadArgs {
    /// An archive's root or a recorder's directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The private key that signs: Ed25519 in PEM.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The file to be made.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum HeadError {
    #[error(
        "cannot look into {}: {source}; give an archive's root or a recorder's directory",
        .path.display()
    )]
    Directory { path: PathBuf, source: std::io::Error },
    #[error("nothing was sealed below {} yet, so there is no head; record first", .0.display())]
    Nothing(PathBuf),
    #[error("cannot read {}: {source}", .path.display())]
    Key { path: PathBuf, source: std::io::Error },
    #[error("cannot make {}: {source}; what exists is left as it is", .path.display())]
    Output { path: PathBuf, source: std::io::Error },
    #[error("{} is no text, and names in a statement are", .0.display())]
    Name(PathBuf),
    #[error(transparent)]
    Media(#[from] MediaError),
}

impl HeadError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Directory { .. } | Self::Key { .. } | Self::Output { .. } => 2,
            Self::Media(MediaError::Key { .. }) => 2,
            _ => 1,
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a Path,
    #[serde(flatten)]
    heads: &'a Heads,
}

/// Exports and signs.
pub(crate) fn run(args: &HeadArgs, json: bool) -> Result<(), HeadError> {
    let of = |source| HeadError::Directory { path: args.directory.clone(), source };
    let name = args.key.display().to_string();
    let key =
        text_of(&args.key, MOST_KEY).map_err(|source| HeadError::Key { path: args.key.clone(), source })?;
    let key = HeadKey::from_pem(&key, &name)?;
    let mut chains = Vec::new();
    for chain in chains_below(&Beneath::root(&args.directory).map_err(of)?).map_err(of)? {
        let below = chain.path().strip_prefix(&args.directory).unwrap_or(Path::new(""));
        let below = below.to_str().ok_or_else(|| HeadError::Name(below.to_owned()))?.to_owned();
        chains.extend(KeptHead::read(&chain, below)?);
    }
    if chains.is_empty() {
        return Err(HeadError::Nothing(args.directory.clone()));
    }
    let heads = Heads { audyn_heads: 1, when: jiff::Timestamp::now().to_string(), chains };
    let made = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&args.output);
    let written = made.and_then(|mut file| {
        let written = file.write_all(heads.sign(&key).as_bytes()).and_then(|()| file.sync_all());
        if written.is_err() {
            let _ = std::fs::remove_file(&args.output); // it was made here, and is not whole
        }
        written
    });
    written.map_err(|source| HeadError::Output { path: args.output.clone(), source })?;
    let text = match json {
        true => {
            serde_json::to_string(&Line { file: &args.output, heads: &heads }).expect("its fields are plain")
        }
        false => {
            let told = heads.chains.iter().map(|head| {
                let name = if head.directory.is_empty() { "the chain" } else { &head.directory };
                format!("{name}: entry {}, {}\n", head.entry, head.hash)
            });
            format!("{}signed in {}", told.collect::<String>(), args.output.display())
        }
    };
    let _ = writeln!(std::io::stdout(), "{text}"); // whoever read there may have gone
    Ok(())
}

/// The text of a small file.
pub(crate) fn text_of(path: &Path, most: u64) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(most).read_to_string(&mut text)?;
    Ok(text)
}
