//! Which volume this is: the file that tells it from every other.
//!
//! Owns: `.audyn-volume.json` in the root of an archive. Never: decides whether a volume is the right one; puts a path or a secret into the
//! file; replaces an identity.
//!
//! ```json
//! {"audyn_volume":1,"id":"0f3c…32 hexadecimal digits","made":"2026-07-02T13:46:03Z","by":"audyn-1a2b3c"}
//! ```
//!
//! Every later version keeps `id`, and a reader passes over what it does not know: a box that goes back to an older version of Audyn must not
//! take its own disk for another's. A copy of a whole disk has the identity of the first one, and counts as the same.
//!
//! # Procedure
//!
//! *Make*: 1. `.audyn-volume.json.new-ID`, which nobody else has; 2. fsync; 3. rename to the name, if it is free (what is no identity is
//! replaced); 4. remove what others have left of 1; 5. fsync of the root; 6. read what is there. A crash after any step leaves no identity or
//! a whole one, and of two who make one at once both end with the same, or one of them with an error, and has to ask again.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Read as _, Write as _};

use serde::{Deserialize, Serialize};

use crate::Beneath;
use crate::beneath::OFlags;

/// The file's name.
pub const NAME: &str = ".audyn-volume.json";

/// Where it is written first, before its `id`.
const NEW: &str = ".audyn-volume.json.new-";

/// The version that is written.
const VERSION: u32 = 1;

/// More bytes than any identity has.
const MOST: u64 = 64 * 1024;

/// The identity of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The file's version.
    audyn_volume: u32,
    /// 128 random bits as hexadecimal digits.
    id: String,
    /// When it was made, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
    /// The name of the machine that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl Identity {
    /// A new one, by the kernel's random numbers.
    fn new(made: String, by: Option<String>) -> io::Result<Self> {
        let (mut bits, mut got) = ([0; 16], 0);
        while got < bits.len() {
            got += rustix::rand::getrandom(&mut bits[got..], rustix::rand::GetRandomFlags::empty())?;
        }
        let id = format!("{:032x}", u128::from_be_bytes(bits));
        Ok(Self { audyn_volume: VERSION, id, made: Some(made), by })
    }

    /// The 32 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether both are of one volume, whatever else they tell.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.id == other.id
    }

    /// Whether it can be one: 32 hexadecimal digits, the rest short and of one line.
    fn is_sound(&self) -> bool {
        let line = |text: &Option<String>| {
            text.as_ref().is_none_or(|text| text.len() <= 256 && !text.chars().any(char::is_control))
        };
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        self.audyn_volume >= VERSION
            && self.id.len() == 32
            && self.id.bytes().all(digit)
            && line(&self.made)
            && line(&self.by)
    }
}

/// For people: `0f3c5a71, made 2026-07-02T13:46:03Z by audyn-1a2b3c`.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id.get(..8).unwrap_or(&self.id))?;
        if let Some(made) = &self.made {
            write!(f, ", made {made}")?;
        }
        self.by.as_ref().map_or(Ok(()), |by| write!(f, " by {by}"))
    }
}

/// Reads the identity of the volume with this root; none if it has none.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] if what stands there is none; a link in its place; else what the system says.
pub fn read(root: &Beneath) -> io::Result<Option<Identity>> {
    let file = match root.file(OsStr::new(NAME), OFlags::RDONLY) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(MOST).read_to_end(&mut text)?;
    let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("{NAME}: {what}"));
    let identity: Identity = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    if identity.is_sound() {
        Ok(Some(identity))
    } else {
        Err(wrong("its `id` is not 32 hexadecimal digits, or another field is none of ours".to_owned()))
    }
}

/// Gives the volume with this root an identity, `made` at this time `by` this machine; where it has one, that one stays. Gives what is
/// there then.
///
/// # Errors
/// What the system says.
pub fn make(root: &Beneath, made: String, by: Option<String>) -> io::Result<Identity> {
    let identity = Identity::new(made, by)?;
    let mut text = serde_json::to_vec(&identity)?;
    text.push(b'\n');
    let (name, new) = (OsStr::new(NAME), format!("{NEW}{}", identity.id));
    let new = OsStr::new(&new);
    let mut file = root.file(new, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
    let placed = file.write_all(&text).and_then(|()| file.sync_all()).and_then(|()| place(root, new, name));
    // A full disk leaves an empty one, and so may a crash.
    for (left, _) in root.entries()? {
        if left.as_encoded_bytes().starts_with(NEW.as_bytes()) {
            let _ = root.remove(&left); // somebody else may have removed it
        }
    }
    placed?;
    root.sync()?;
    read(root)?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Gives the file `new` its name, unless an identity has it.
fn place(root: &Beneath, new: &OsStr, name: &OsStr) -> io::Result<()> {
    match root.rename_to_free(new, name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match read(root) {
            Ok(Some(_)) => Ok(()),
            _ => root.rename_over(new, name),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(root: &Beneath) -> Identity {
        make(root, "2026-07-02T13:46:03Z".to_owned(), Some("audyn-1a2b3c".to_owned())).unwrap()
    }

    #[test]
    fn an_identity_is_made_once_and_of_what_is_none_a_new_one_comes() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (path, root) = (dir.path().join(NAME), Beneath::root(dir.path()).unwrap());
        assert_eq!(read(&root).unwrap(), None);
        let first = made(&root);
        assert_eq!((made(&root), read(&root).unwrap()), (first.clone(), Some(first.clone())));
        assert!(first.to_string().ends_with(", made 2026-07-02T13:46:03Z by audyn-1a2b3c"), "{first}");
        assert!(!made(&Beneath::root(other.path()).unwrap()).is(&first), "chance");
        // Nothing but the file is left, and nothing of this machine's paths is in it.
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(!std::fs::read_to_string(&path).unwrap().contains('/'));

        for garbage in ["", "{", r#"{"audyn_volume":1,"id":"../x"}"#, r#"{"audyn_volume":0,"id":""}"#] {
            std::fs::write(&path, garbage).unwrap();
            assert_eq!(read(&root).unwrap_err().kind(), io::ErrorKind::InvalidData, "{garbage}");
            assert_eq!(made(&root), read(&root).unwrap().unwrap());
        }
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(other.path().join(NAME), &path).unwrap();
        assert!(crate::beneath::is_link(&read(&root).unwrap_err()));
        let theirs = std::fs::read(other.path().join(NAME)).unwrap();
        assert_eq!(made(&root), read(&root).unwrap().unwrap());
        assert_eq!(
            std::fs::read(other.path().join(NAME)).unwrap(),
            theirs,
            "nothing was written through the link"
        );
    }

    #[test]
    fn a_later_version_is_the_same_volume() {
        let dir = tempfile::tempdir().unwrap();
        let root = Beneath::root(dir.path()).unwrap();
        let now = made(&root);
        let later = format!(r#"{{"audyn_volume":7,"id":"{}","role":"mirror"}}"#, now.id());
        std::fs::write(dir.path().join(NAME), later).unwrap();
        assert!(read(&root).unwrap().unwrap().is(&now));
    }

    /// What a crash leaves after the first or second step.
    #[test]
    fn what_a_crash_left_is_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let root = Beneath::root(dir.path()).unwrap();
        let left = dir.path().join(format!("{NEW}0123"));
        std::fs::write(&left, "{\"audyn_vol").unwrap();
        assert_eq!(read(&root).unwrap(), None);
        let now = made(&root);
        assert_eq!(read(&root).unwrap(), Some(now));
        assert!(!left.exists());
    }
}
