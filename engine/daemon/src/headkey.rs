//! The key by which this box signs the heads of its chains (`audyn head`).
//!
//! Owns: `head-key.pem` in the state directory, for the engine and root alone, and `head-key.pub.pem` for whoever checks; made at the
//! first start, and never again while the first one is there. Never: signs by itself; keeps a start back, since audio goes before.
//!
//! # Procedure
//! 1. `head-key.pem.new`, mode 0600, fsync; 2. rename to a name that is free; 3. fsync of the directory; 4. the public key the same way,
//!    also where only it is missing. A crash after any step leaves nothing or the key.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use audyn_media::chain::HeadKey;

/// The private key's name in the state directory.
const PRIVATE: &str = "head-key.pem";
const PUBLIC: &str = "head-key.pub.pem";

/// Keys have some hundred bytes.
const MOST: u64 = 64 * 1024;

/// Makes the key if there is none. Whoever holds the state directory calls it, and nobody else.
pub fn make_head_key(state: &Path) {
    match made(state) {
        Ok(true) => tracing::info!(
            key = %state.join(PUBLIC).display(),
            "a key was made that signs the heads of chains; keep its public half elsewhere"
        ),
        Ok(false) => {}
        Err(error) => tracing::warn!(
            %error,
            path = %state.join(PRIVATE).display(),
            "there is no key that signs the heads of chains; recording is not concerned"
        ),
    }
}

/// Whether it was made now.
fn made(state: &Path) -> io::Result<bool> {
    let path = state.join(PRIVATE);
    let (key, new) = match File::open(&path) {
        Ok(file) => {
            let mut pem = String::new();
            file.take(MOST).read_to_string(&mut pem)?;
            let key = HeadKey::from_pem(&pem, &path.display().to_string());
            (key.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?, false)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = HeadKey::generate()?;
            place(state, PRIVATE, key.to_pem().as_bytes(), 0o600)?;
            (key, true)
        }
        Err(error) => return Err(error),
    };
    if !state.join(PUBLIC).exists() {
        place(state, PUBLIC, key.public().to_pem().as_bytes(), 0o644)?;
    }
    Ok(new)
}

/// Makes a file of this mode; one that is there stays.
fn place(state: &Path, name: &str, text: &[u8], mode: u32) -> io::Result<()> {
    let new = state.join(format!("{name}.new"));
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {} // what a crash has left
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    file.set_permissions(Permissions::from_mode(mode))?; // whatever the umask
    file.write_all(text)?;
    file.sync_all()?;
    let directory = audyn_media::Beneath::root(state)?;
    directory.rename_to_free(format!("{name}.new").as_ref(), name.as_ref())?;
    directory.sync()
}

#[cfg(test)]
mod tests {
    use audyn_media::chain::PublicKey;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let state = tempfile::tempdir().unwrap();
        let read = |name: &str| std::fs::read_to_string(state.path().join(name)).unwrap();
        let mode =
            |name: &str| std::fs::metadata(state.path().join(name)).unwrap().permissions().mode() & 0o777;
        // A crash of an earlier start.
        std::fs::write(state.path().join("head-key.pem.new"), "half").unwrap();
        assert!(made(state.path()).unwrap());
        assert_eq!((mode(PRIVATE), mode(PUBLIC)), (0o600, 0o644));
        let (private, public) = (read(PRIVATE), read(PUBLIC));
        let key = HeadKey::from_pem(&private, "it").unwrap();
        assert_eq!(PublicKey::from_pem(&public, "it").unwrap(), key.public());
        assert!(!made(state.path()).unwrap());
        std::fs::remove_file(state.path().join(PUBLIC)).unwrap();
        assert!(!made(state.path()).unwrap());
        assert_eq!((read(PRIVATE), read(PUBLIC)), (private, public), "the same, and its half again");
        assert!(!state.path().join("head-key.pem.new").exists());

        // What is no key is left, and said.
        std::fs::write(state.path().join(PRIVATE), "mine").unwrap();
        assert!(made(state.path()).unwrap_err().to_string().contains("no private key"));
        assert_eq!(read(PRIVATE), "mine");
        make_head_key(Path::new("/nowhere"));
    }
}
