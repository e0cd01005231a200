//! The command line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Parser;

/// Where the server listens if nobody says otherwise.
pub(crate) const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// Where an image's boot reports about it.
pub(crate) const DEFAULT_IMAGE_REPORT: &str = "/run/audyn/image.json";

/// Why it listens nowhere else, and what to do.
pub(crate) const STRANGERS: &str = "can be reached from other machines, and there are no accounts yet that would keep \
    strangers from stopping and deleting recordings; listen on 127.0.0.1 or [::1], and reach it from elsewhere through an SSH tunnel";

/// The web page, REST and WebSocket of an Audyn recorder.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "audyn-webd",
    version,
    after_help = "Examples:\n  audyn-webd\n  audyn-webd --listen 127.0.0.1:9000 --engine-socket /tmp/engine.sock\n\n\
                  The log's detail follows RUST_LOG (for example RUST_LOG=audyn_webd=debug)."
)]
pub struct Options {
    /// Address and port to listen on; loopback only [default: 127.0.0.1:8080, or the sockets that systemd passed, beside
    /// which it is an error]
    #[arg(long, value_name = "ADDR:PORT", value_parser = loopback)]
    pub listen: Option<SocketAddr>,

    /// Unix socket of audyn-engine
    #[arg(long, value_name = "PATH", default_value = audyn_api::client::DEFAULT_SOCKET)]
    pub engine_socket: PathBuf,

    /// Report that the image's boot writes
    #[arg(long, value_name = "PATH", default_value = DEFAULT_IMAGE_REPORT)]
    pub image_report: PathBuf,
}

/// Anybody who reaches the page may start, stop and delete, so nobody but this machine may reach it.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| {
        format!("`{text}` is not an IP address with a port, such as 127.0.0.1:8080 or [::1]:8080")
    })?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(format!("{address} {STRANGERS}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_are_sound() {
        use clap::CommandFactory;
        Options::command().debug_assert();
        let options = Options::try_parse_from(["audyn-webd"]).unwrap();
        assert_eq!(options.listen, None);
        assert_eq!(DEFAULT_LISTEN.to_string(), "127.0.0.1:8080");
        assert_eq!(options.image_report.to_str(), Some("/run/audyn/image.json"));
        assert_eq!(options.engine_socket.to_str(), Some("/run/audyn/engine.sock"));
    }

    #[test]
    fn other_machines_are_kept_out_and_told_why() {
        for open in ["0.0.0.0:8080", "192.0.2.1:80", "[::]:8080", "[2001:db8::1]:80"] {
            let error = Options::try_parse_from(["audyn-webd", "--listen", open]).unwrap_err().to_string();
            assert!(error.contains("no accounts yet"), "{error}");
        }
        for closed in ["127.0.0.1:0", "127.8.9.1:80", "[::1]:8080"] {
            assert!(Options::try_parse_from(["audyn-webd", "--listen", closed]).is_ok(), "{closed}");
        }
        for wrong in ["8080", "localhost", "127.0.0.1", "127.0.0.1:99999"] {
            let error = Options::try_parse_from(["audyn-webd", "--listen", wrong]).unwrap_err().to_string();
            assert!(error.contains("not an IP address with a port"), "{error}");
        }
    }
}
