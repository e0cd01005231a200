//! Where the second leg of a stream is (ST 2022-7), as options name it.
//!
//! Owns: `ADDR[:PORT][@INTERFACE]`. Never: what is done with it.

use std::net::{IpAddr, SocketAddr};

/// A place on the network. What it leaves out is the first leg's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) address: IpAddr,
    pub(crate) port: Option<u16>,
    pub(crate) interface: Option<String>,
}

/// Reads a place: `239.2.0.1`, `239.2.0.1:5006@eth1`, `[ff3e::1]:5004`, `ff3e::1@eth1`.
pub(crate) fn place(text: &str) -> Result<Place, String> {
    let (to, interface) = match text.split_once('@') {
        Some((to, interface)) if !interface.is_empty() => (to, Some(interface.to_owned())),
        Some(_) => {
            return Err(format!("\"{text}\" names no interface behind the @; give one or leave it out"));
        }
        None => (text, None),
    };
    let whole = to.parse::<SocketAddr>().map(|to| (to.ip(), Some(to.port())));
    let bare = to.trim_start_matches('[').trim_end_matches(']');
    match whole.or_else(|_| bare.parse().map(|address| (address, None))) {
        Ok((_, Some(0))) => {
            Err(format!("\"{text}\": port 0 is none; leave the port out for the first leg's"))
        }
        Ok((address, port)) => Ok(Place { address, port, interface }),
        Err(_) => Err(format!(
            "\"{text}\" is no place for a leg; give ADDRESS, and if it differs from the first leg's :PORT and @INTERFACE, as \
             239.2.0.1:5004@eth1"
        )),
    }
}

/// A second leg, or `none` to leave out the one that a description names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecondLeg {
    /// There shall be none.
    None,
    /// It is there.
    At(Place),
}

pub(crate) fn second_leg(text: &str) -> Result<SecondLeg, String> {
    if text == "none" { Ok(SecondLeg::None) } else { place(text).map(SecondLeg::At) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_says_no_more_than_it_must() {
        let of = |text: &str| place(text).map(|p| (p.address.to_string(), p.port, p.interface));
        assert_eq!(of("239.2.0.1"), Ok(("239.2.0.1".into(), None, None)));
        assert_eq!(of("239.2.0.1:5006@eth1"), Ok(("239.2.0.1".into(), Some(5006), Some("eth1".into()))));
        assert_eq!(of("[ff3e::1]:5004"), Ok(("ff3e::1".into(), Some(5004), None)));
        assert_eq!(of("ff3e::1@192.0.2.1"), Ok(("ff3e::1".into(), None, Some("192.0.2.1".into()))));
        for wrong in ["", "eth1", "239.2.0.1:0", "239.2.0.1:99999", "239.2.0.1@", "@eth1", "239.2.0"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
        assert_eq!(second_leg("none"), Ok(SecondLeg::None));
    }
}
