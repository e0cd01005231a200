//! The socket's file, and who gets in by it.
//!
//! Owns: the mode of the socket, and the judgement of a caller by it. Never: reads what a caller sends.
//!
//! The socket's mode is 0660 before anybody can connect, whatever the umask. Its group is the one that files made here get: the
//! process's own (`Group=` of the service), or that of a directory with the set-group-ID bit. It is not changed to anything
//! else: a directory's group alone may be wider than what the service was given.

use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use audyn_api::{Refusal, RefusalKind};
use tokio::net::{UnixListener, UnixStream};

use crate::error::EngineError;

/// Opens the socket at `path`. A socket that nobody answers on any more is replaced; anything else there is an error.
pub fn listen(path: &Path) -> Result<UnixListener, EngineError> {
    let refused = |detail: String| EngineError::Socket { path: path.to_owned(), detail };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(|error| {
            refused(format!("{error}; choose a directory that can be written to with --socket"))
        })?;
    }
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(refused(
                "something that is not a socket is there; choose another --socket".to_owned(),
            ));
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(refused(
                "another engine answers there; stop it, or choose another --socket".to_owned(),
            ));
        }
        std::fs::remove_file(path)
            .map_err(|error| refused(format!("the old socket stays ({error}); remove it")))?;
    }
    bind(path).map_err(|error| refused(error.to_string()))
}

/// Binds, sets the mode, and only then listens: nobody gets in before the mode says who may.
fn bind(path: &Path) -> std::io::Result<UnixListener> {
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = nix::sys::socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    nix::sys::socket::bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    nix::sys::socket::listen(&socket, Backlog::MAXCONN)?;
    UnixListener::from_std(socket.into())
}

/// The kernel lets in who may write to the socket by its mode: this user, root, the members of its group. Of the groups only
/// the primary one comes with a connection, so membership is not asked again here, as long as the mode is one that asks.
pub(crate) fn authorise(stream: &UnixStream, listener: &UnixListener) -> Result<(), Refusal> {
    let refuse = |detail: String| Err(Refusal { kind: RefusalKind::Forbidden, detail });
    let peer = match stream.peer_cred() {
        Ok(peer) => peer,
        Err(error) => {
            return refuse(format!("the credentials of the caller cannot be read: {error}; try again"));
        }
    };
    let own = nix::unistd::geteuid().as_raw();
    let place = listener.local_addr().ok().and_then(|address| std::fs::metadata(address.as_pathname()?).ok());
    let place = place.map(|file| (file.mode(), file.gid()));
    if may_enter((peer.uid(), peer.gid()), own, place) {
        return Ok(());
    }
    refuse(format!(
        "user {} may not talk to the engine; make it a member of the socket's group, whose mode must be 0660",
        peer.uid()
    ))
}

/// Whether a caller (user and primary group) may enter; `socket` is mode and group of the socket's file, if it is there.
fn may_enter((uid, gid): (u32, u32), own: u32, socket: Option<(u32, u32)>) -> bool {
    uid == own || uid == 0 || socket.is_some_and(|(mode, group)| gid == group || mode & 0o002 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_for_its_group_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("run");
        std::fs::create_dir(&place).unwrap();
        // Only root can give a directory to any group; another user's has that user's.
        let wanted = nix::unistd::geteuid().is_root().then_some(60_123);
        std::os::unix::fs::chown(&place, None, wanted).unwrap();
        for (mode, group) in [(0o755, nix::unistd::getegid().as_raw()), (0o2_755, 60_123)] {
            std::fs::set_permissions(&place, std::fs::Permissions::from_mode(mode)).unwrap();
            let path = place.join("engine.sock");
            let listener = listen(&path).unwrap();
            let socket = std::fs::metadata(&path).unwrap();
            assert_eq!(socket.mode() & 0o7_777, 0o660);
            if wanted.is_some() {
                assert_eq!(socket.gid(), group, "in a directory of mode {mode:o}");
            } else {
                assert_eq!(socket.gid(), nix::unistd::getegid().as_raw());
            }
            drop(listener);
        }
    }

    #[test]
    fn whom_the_mode_lets_in_may_enter() {
        const OWN: u32 = 990;
        let group = Some((0o140_660, 991));
        assert!(may_enter((OWN, 5), OWN, group) && may_enter((0, 0), OWN, group));
        assert!(may_enter((1_000, 991), OWN, group), "primary group");
        assert!(may_enter((1_000, 1_000), OWN, group), "a further group: the kernel asked for it");
        let open = Some((0o140_666, 991));
        assert!(may_enter((1_000, 991), OWN, open));
        assert!(!may_enter((1_000, 1_000), OWN, open), "the kernel asked for nothing");
        assert!(!may_enter((1_000, 1_000), OWN, None));
    }
}
