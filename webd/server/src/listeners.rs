//! The sockets that the server answers on: its own, or those that systemd opened for it (`sd_listen_fds(3)`).
//!
//! Owns: the rule which it is, and that nobody but this machine can reach them. Never: accepts a connection.
//!
//! The rule: sockets that were passed are the ones that are served, all of them, and `--listen` beside them is an error,
//! since one of the two would be ignored. Without passed sockets it is `--listen`. One socket that other machines could reach
//! and nothing is served.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use nix::sys::socket::{SockType, getsockopt, sockopt};

use crate::options::{DEFAULT_LISTEN, STRANGERS};

/// Sockets that were passed to this process.
///
/// Call it once, before anything else is opened: their numbers are taken on trust.
///
/// # Errors
/// A sentence, if systemd's variables cannot be read.
pub fn passed() -> Result<Vec<OwnedFd>, String> {
    let passed = sd_listen_fds::get()
        .map_err(|error| format!("LISTEN_PID or LISTEN_FDS cannot be read: {error}; unset both"))?;
    Ok(passed.into_iter().map(|(_, socket)| socket.into_std()).collect())
}

/// The sockets to serve: what was passed, or else a new one at `listen`. They do not block.
///
/// # Errors
/// A sentence that says what is wrong and what to do.
pub fn open(passed: Vec<OwnedFd>, listen: Option<SocketAddr>) -> Result<Vec<TcpListener>, String> {
    let sockets = match (passed.is_empty(), listen) {
        (true, listen) => vec![bind(listen.unwrap_or(DEFAULT_LISTEN))?],
        (false, None) => passed
            .into_iter()
            .enumerate()
            .map(|(n, socket)| take(socket).map_err(|why| format!("the passed socket {}: {why}", n + 1)))
            .collect::<Result<_, _>>()?,
        (false, Some(listen)) => {
            return Err(format!(
                "sockets were passed (LISTEN_FDS), so --listen {listen} would be ignored; leave it out, or start without the \
                 socket unit"
            ));
        }
    };
    for socket in &sockets {
        socket
            .set_nonblocking(true)
            .map_err(|error| format!("a listening socket cannot be set not to block: {error}"))?;
    }
    Ok(sockets)
}

fn bind(listen: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(listen).map_err(|error| {
        format!("cannot listen on {listen}: {error}; choose another --listen, or stop what listens there")
    })
}

fn take(socket: OwnedFd) -> Result<TcpListener, String> {
    let listens = getsockopt(&socket, sockopt::SockType) == Ok(SockType::Stream)
        && getsockopt(&socket, sockopt::AcceptConn) == Ok(true);
    let socket = TcpListener::from(socket);
    let address = socket.local_addr().ok().filter(|_| listens).ok_or(
        "it is no listening TCP socket; pass ListenStream= sockets with an address and a port only"
            .to_owned(),
    )?;
    if !address.ip().to_canonical().is_loopback() {
        return Err(format!("{address} {STRANGERS}"));
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(at: &str) -> OwnedFd {
        TcpListener::bind(at).unwrap().into()
    }

    fn refused(socket: OwnedFd) -> String {
        open(vec![self::socket("127.0.0.1:0"), socket], None).unwrap_err()
    }

    #[test]
    fn every_passed_socket_is_served_and_none_blocks() {
        let sockets = open(vec![socket("127.0.0.1:0"), socket("127.0.0.2:0")], None).unwrap();
        assert_eq!(sockets.len(), 2);
        for socket in sockets {
            assert_eq!(socket.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        }
        assert_eq!(open(Vec::new(), Some("127.0.0.1:0".parse().unwrap())).unwrap().len(), 1);
    }

    #[test]
    fn what_others_could_reach_or_nobody_can_talk_to_is_refused() {
        let everywhere = refused(socket("0.0.0.0:0"));
        assert!(
            everywhere.starts_with("the passed socket 2: 0.0.0.0:") && everywhere.contains("no accounts yet"),
            "{everywhere}"
        );
        let dir = tempfile::tempdir().unwrap();
        let unix = std::os::unix::net::UnixListener::bind(dir.path().join("x")).unwrap();
        assert!(refused(unix.into()).contains("no listening TCP socket"));
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(refused(udp.into()).contains("no listening TCP socket"));
        let file = std::fs::File::open(dir.path()).unwrap();
        assert!(refused(file.into()).contains("no listening TCP socket"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connected = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(refused(connected.into()).contains("no listening TCP socket"));
    }

    #[test]
    fn two_ways_to_say_where_are_one_too_many() {
        let error = open(vec![socket("127.0.0.1:0")], Some("127.0.0.1:80".parse().unwrap())).unwrap_err();
        assert!(error.contains("--listen 127.0.0.1:80 would be ignored"), "{error}");
    }
}
