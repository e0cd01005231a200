//! News of the machine's network: links and addresses that come, go or change, as the kernel tells them (rtnetlink(7)).
//!
//! Owns: the netlink socket, and of each message the interface and what it means for whoever receives there.
//! Never: waits, changes the network, or keeps a picture of it: news says that something is to be looked at, and
//! [`crate::interfaces`] what it is now. News may be lost when nobody takes it; that is told too.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

use crate::SysError;

/// Bytes of `nlmsghdr`, and of the `ifinfomsg` or `ifaddrmsg` behind it that are read.
const HEADER: usize = 16;

/// What the kernel told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkNews {
    /// The interface of this number is there; `carries` if it is up and its link is too.
    Link {
        /// The kernel's number.
        index: u32,
        /// Up, with a link.
        carries: bool,
    },
    /// The interface of this number has gone.
    LinkGone {
        /// The kernel's number.
        index: u32,
    },
    /// An address came to this interface, or was told anew.
    Address {
        /// The kernel's number.
        index: u32,
        /// Of IPv4, else of IPv6.
        v4: bool,
    },
    /// An address of this interface went.
    AddressGone {
        /// The kernel's number.
        index: u32,
        /// Of IPv4, else of IPv6.
        v4: bool,
    },
    /// More happened than the kernel kept: anything may have changed.
    Lost,
}

/// The subscription.
#[derive(Debug)]
pub struct NetworkWatch {
    socket: OwnedFd,
}

impl NetworkWatch {
    /// Subscribes to links and to addresses of both IP versions.
    ///
    /// # Errors
    /// [`SysError::Watch`] where the sandbox or the kernel refuses it; polling [`crate::interfaces`] does as well, later.
    pub fn open() -> Result<Self, SysError> {
        let open = || -> nix::Result<OwnedFd> {
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
            let groups = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
            bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups.unsigned_abs()))?;
            Ok(socket)
        };
        open().map(|socket| Self { socket }).map_err(|error| SysError::Watch { source: error.into() })
    }

    /// What has happened since the last call, in order; nothing is the usual answer.
    ///
    /// # Errors
    /// What the socket says, but "nothing there" and "too much was there"; the subscription stands.
    pub fn news(&self) -> io::Result<Vec<NetworkNews>> {
        let mut news = Vec::new();
        // Messages end where their header says; a message of a link is about 1.5 KB.
        let mut buffer = [0; 16_384];
        loop {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => read(&buffer[..length], &mut news),
                Err(nix::errno::Errno::ENOBUFS) => news.push(NetworkNews::Lost),
                Err(nix::errno::Errno::EINTR) => {}
                Err(nix::errno::Errno::EAGAIN) => return Ok(news),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Reads the messages of one datagram.
fn read(mut bytes: &[u8], news: &mut Vec<NetworkNews>) {
    let word = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_ne_bytes)
    };
    while let Some(length) = word(bytes, 0).map(|length| length as usize) {
        let Some(message) = bytes.get(..length).filter(|message| message.len() >= HEADER) else { return };
        let kind = u16::from_ne_bytes([message[4], message[5]]);
        let family = message.get(HEADER).copied().map_or(-1, i32::from);
        // ifinfomsg: family, type, index, flags. ifaddrmsg: family, prefix, flags, scope, index. Both have the index at 4.
        if let Some(index) = word(message, HEADER + 4) {
            let flags = word(message, HEADER + 8).unwrap_or(0).cast_signed();
            let carries = flags & libc::IFF_UP != 0 && flags & libc::IFF_RUNNING != 0;
            let v4 = family == libc::AF_INET;
            match kind {
                // Those of another family are a bridge's word on its ports.
                libc::RTM_NEWLINK if family == libc::AF_UNSPEC => {
                    news.push(NetworkNews::Link { index, carries });
                }
                libc::RTM_DELLINK if family == libc::AF_UNSPEC => news.push(NetworkNews::LinkGone { index }),
                libc::RTM_NEWADDR => news.push(NetworkNews::Address { index, v4 }),
                libc::RTM_DELADDR => news.push(NetworkNews::AddressGone { index, v4 }),
                _ => {}
            }
        }
        // NLMSG_ALIGN
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + body.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn link(family: u8, index: u32, flags: i32) -> Vec<u8> {
        let mut body = vec![family, 0, 0, 0];
        body.extend(index.to_ne_bytes());
        body.extend(flags.to_ne_bytes());
        body.extend([0; 4]);
        body
    }

    #[test]
    fn messages_are_read_for_the_interface_and_what_it_means() {
        let mut address = vec![u8::try_from(libc::AF_INET).unwrap(), 24, 0, 0];
        address.extend(7u32.to_ne_bytes());
        // An attribute of odd length: the next message stands at the next multiple of 4.
        address.extend([1; 5]);
        let mut bytes = message(libc::RTM_NEWLINK, &link(0, 3, libc::IFF_UP | libc::IFF_RUNNING));
        bytes.extend(message(libc::RTM_NEWADDR, &address));
        bytes.extend(message(libc::RTM_NEWLINK, &link(0, 3, libc::IFF_UP)));
        bytes.extend(message(libc::RTM_NEWLINK, &link(7, 3, 0)));
        bytes.extend(message(libc::RTM_DELADDR, &address));
        bytes.extend(message(libc::RTM_DELLINK, &link(0, 3, 0)));
        let mut news = Vec::new();
        read(&bytes, &mut news);
        assert_eq!(
            news,
            [
                NetworkNews::Link { index: 3, carries: true },
                NetworkNews::Address { index: 7, v4: true },
                NetworkNews::Link { index: 3, carries: false },
                NetworkNews::AddressGone { index: 7, v4: true },
                NetworkNews::LinkGone { index: 3 },
            ]
        );
    }

    #[test]
    fn a_message_that_is_cut_or_lies_about_its_length_ends_the_reading() {
        let whole = message(libc::RTM_NEWLINK, &link(0, 3, 0));
        for cut in 0..whole.len() {
            let mut news = Vec::new();
            read(&whole[..cut], &mut news);
            assert_eq!(news, [], "{cut}");
        }
        for length in [0u32, 1, 15, u32::MAX] {
            let mut lies = whole.clone();
            lies[..4].copy_from_slice(&length.to_ne_bytes());
            read(&lies, &mut Vec::new());
        }
    }

    #[test]
    #[cfg(not(miri))] // system calls
    fn a_quiet_network_has_no_news() {
        let watch = NetworkWatch::open().unwrap();
        // Whatever the machine does meanwhile, the question returns.
        watch.news().unwrap();
    }
}
