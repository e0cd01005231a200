//! The batched receive: many datagrams by one system call, straight into slots.
//!
//! Owns: the preallocated headers of `recvmmsg(2)` and the reading of what comes beside the bytes: sender, kernel
//! receive time (`SO_TIMESTAMPNS`), the card's (`SO_TIMESTAMPING`), count of what the socket dropped (`SO_RXQ_OVFL`), and what the
//! IP header said (`IP_RECVTTL`, `IP_RECVTOS` and their IPv6 twins).
//! Never: allocates after [`BatchReceiver::new`], waits, logs, looks into a datagram, or loses a slot.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use audyn_units::{Clock, Phc, Timestamp, Utc};

use crate::{Slab, Slot};

/// What the kernel told of one datagram; its bytes are in the slot that comes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram {
    /// The bytes stored: the first `len` of the slot.
    pub len: usize,
    /// The datagram was longer than the slot, and its end is lost.
    pub truncated: bool,
    /// When the kernel received it, on CLOCK_REALTIME; `None` if the socket has no `SO_TIMESTAMPNS`.
    /// [`crate::ClockPair::to_mono`] moves it to the monotonic clock.
    pub kernel_time: Option<Timestamp<Utc>>,
    /// When the network card received it, on the card's own clock; `None` unless the card stamps such packets and the socket asks
    /// for it ([`crate::FlowSocket::stamp_by_card`]).
    pub card_time: Option<Timestamp<Phc>>,
    /// The sender's address and its port (`0.0.0.0` and 0 if the socket is not one of IPv4 or IPv6).
    pub source: (IpAddr, u16),
    /// How many datagrams the socket had dropped when it queued this one: a counter that runs, and wraps, since the
    /// socket was made. `None` until the first drop, or without `SO_RXQ_OVFL`. Full buffer and bad checksum
    /// count alike.
    pub dropped: Option<u32>,
    /// Hops that were left: IPv4's TTL or IPv6's hop limit, if the socket asks for it.
    pub ttl: Option<u8>,
    /// Differentiated services code point, 0 to 63 (RFC 2474 §3), if the socket asks for it. Reported, never a reason to refuse.
    pub dscp: Option<u8>,
}

/// Room for a sender of either family; both start with the family, and any bits are valid in either.
#[repr(C)]
union Name {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// Room for the control messages that we ask for, a timespec (16 bytes), three of them, a u32, a TTL and a traffic class, each with its
/// header: 168 bytes on 64-bit Linux; the rest is for what else a caller's socket has switched on. Aligned as a `cmsghdr` must be.
#[repr(C, align(8))]
struct Control([u8; 256]);

/// Headers for up to `batch` datagrams a call, made once and used for any number of sockets in turn.
///
/// `Send`, so that it can be made before the capture thread starts.
pub struct BatchReceiver {
    headers: Box<[libc::mmsghdr]>,
    vectors: Box<[libc::iovec]>,
    controls: Box<[Control]>,
    names: Box<[Name]>,
}

// SAFETY: the pointers in `headers` and `vectors` are followed only by the kernel, within `receive`, which has
// `&mut self` and sets each of them anew before the call; between calls they are dead values.
unsafe impl Send for BatchReceiver {}

impl BatchReceiver {
    /// Makes the headers for at most `batch` datagrams a call (at least 1, at most 1024: `UIO_MAXIOV`, where the
    /// kernel cuts anyway).
    #[must_use]
    pub fn new(batch: usize) -> Self {
        let batch = batch.clamp(1, 1024);
        // SAFETY: all-zero is a valid value of these plain C structs: null pointers, zero lengths.
        let header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        let vector = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        Self {
            headers: vec![header; batch].into_boxed_slice(),
            vectors: vec![vector; batch].into_boxed_slice(),
            controls: (0..batch).map(|_| Control([0; 256])).collect(),
            // SAFETY: as above; the union's members are plain C structs.
            names: (0..batch).map(|_| unsafe { std::mem::zeroed() }).collect(),
        }
    }

    /// The most datagrams that one call receives.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.headers.len()
    }

    /// Receives what is queued on `socket`, up to `most` datagrams and a batch, without waiting; gives each datagram with its slot
    /// in the order of arrival. To prepare a header costs a tenth of what a datagram costs: who expects four and asks for 64
    /// pays for it.
    ///
    /// Slots are taken from the end of `free`; those not filled stay there. If fewer than `most` are free, only that
    /// many datagrams are received; the others stay queued. Nothing queued, or nothing free, is none; as many as were asked for
    /// says that more may be queued. Never allocates (`Vec::pop` doesn't).
    ///
    /// # Errors
    /// What the system call says but "would block" and "interrupted", e.g. a pending error of the socket
    /// (`ENETDOWN`), which the call also clears. No slot is taken then.
    ///
    /// # Panics
    /// If one of the free slots belongs to another slab.
    pub fn receive<'a>(
        &'a mut self,
        most: usize,
        socket: BorrowedFd<'_>,
        slab: &Slab,
        free: &'a mut Vec<Slot>,
    ) -> io::Result<Received<'a>> {
        let wanted = most.min(self.headers.len()).min(free.len());
        let mut received = 0;
        if wanted > 0 {
            self.aim(slab, free, wanted);
            received = self.call(socket, wanted)?;
        }
        Ok(Received { of: self, free, next: 0, received })
    }

    /// Points the first `wanted` headers at the last `wanted` free slots, last first, in the order of `Vec::pop`.
    fn aim(&mut self, slab: &Slab, free: &mut [Slot], wanted: usize) {
        let parts =
            self.headers.iter_mut().zip(&mut self.vectors).zip(&mut self.controls).zip(&mut self.names);
        for ((((header, vector), control), name), slot) in parts.zip(free.iter_mut().rev()).take(wanted) {
            let bytes = slab.bytes_mut(slot);
            vector.iov_base = bytes.as_mut_ptr().cast();
            vector.iov_len = bytes.len();
            // The kernel wrote the lengths and flags of the last call over those given: set them all.
            let header = &mut header.msg_hdr;
            header.msg_name = ptr::from_mut(name).cast();
            header.msg_namelen = size_of::<Name>() as libc::socklen_t;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = control.0.len();
            header.msg_flags = 0;
        }
    }

    fn call(&mut self, socket: BorrowedFd<'_>, wanted: usize) -> io::Result<usize> {
        loop {
            // SAFETY: the first `wanted` headers were aimed just now: each name, control and vector pointer leads to
            // an element of this struct's own boxes, exclusively borrowed by `&mut self`, with its true length; each
            // vector leads to one slot's bytes with their length, and `receive` holds the tokens exclusively by
            // `&mut Vec<Slot>`, so nobody reads or writes these bytes during the call. A null timeout means none.
            let received = unsafe {
                libc::recvmmsg(
                    socket.as_raw_fd(),
                    self.headers.as_mut_ptr(),
                    wanted as libc::c_uint,
                    libc::MSG_DONTWAIT,
                    ptr::null_mut(),
                )
            };
            if let Ok(received) = usize::try_from(received) {
                return Ok(received.min(wanted));
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => return Ok(0),
                _ => return Err(error),
            }
        }
    }

    /// What the last call told of its `n`th datagram.
    #[inline]
    fn datagram(&self, n: usize) -> Datagram {
        let header = &self.headers[n];
        let Beside { kernel_time, card_time, dropped, ttl, dscp } =
            control_of(&header.msg_hdr, &self.controls[n]);
        Datagram {
            // Without MSG_TRUNC among the flags asked for, the length is what was stored (recvmsg(2)).
            len: header.msg_len as usize,
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            kernel_time,
            card_time,
            source: source_of(&self.names[n], header.msg_hdr.msg_namelen as usize),
            dropped,
            ttl,
            dscp,
        }
    }
}

/// What one call received: each datagram with its slot, in the order of arrival. A datagram that is not asked for is lost; its
/// slot is not.
#[derive(Debug)]
#[must_use = "what is not taken out is lost"]
pub struct Received<'a> {
    of: &'a BatchReceiver,
    free: &'a mut Vec<Slot>,
    next: usize,
    received: usize,
}

impl Iterator for Received<'_> {
    type Item = (Slot, Datagram);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.received {
            return None;
        }
        let slot = self.free.pop().expect("`aim` took this many from the end of the list");
        let datagram = self.of.datagram(self.next);
        self.next += 1;
        Some((slot, datagram))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.received - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Received<'_> {}

impl std::fmt::Debug for BatchReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchReceiver").field("batch", &self.batch()).finish_non_exhaustive()
    }
}

#[inline]
fn source_of(name: &Name, len: usize) -> (IpAddr, u16) {
    // SAFETY: the union was zeroed when made and is written by the kernel only; integers take any bits.
    let family = unsafe { name.family };
    match libc::c_int::from(family) {
        libc::AF_INET if len >= size_of::<libc::sockaddr_in>() => {
            // SAFETY: as above; the kernel says that it wrote all of a sockaddr_in.
            let v4 = unsafe { name.v4 };
            (Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into(), u16::from_be(v4.sin_port))
        }
        libc::AF_INET6 if len >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: as above; the kernel says that it wrote all of a sockaddr_in6.
            let v6 = unsafe { name.v6 };
            (Ipv6Addr::from(v6.sin6_addr.s6_addr).into(), u16::from_be(v6.sin6_port))
        }
        _ => (Ipv4Addr::UNSPECIFIED.into(), 0),
    }
}

/// What came beside a datagram.
#[derive(Debug, Default, PartialEq, Eq)]
struct Beside {
    kernel_time: Option<Timestamp<Utc>>,
    card_time: Option<Timestamp<Phc>>,
    dropped: Option<u32>,
    ttl: Option<u8>,
    dscp: Option<u8>,
}

/// The receive times, the drop counter and what the IP header said, if they are among the control messages.
///
/// Reads the bytes with checked indices rather than by the `CMSG_` macros, which follow pointers: a few
/// lines, and no way to leave the buffer.
#[inline]
fn control_of(header: &libc::msghdr, control: &Control) -> Beside {
    const HEADER: usize = size_of::<libc::cmsghdr>();
    // SAFETY: arithmetic alone, no pointer; the macro is unsafe by its C heritage.
    const DATA: usize = unsafe { libc::CMSG_LEN(0) } as usize;

    let mut beside = Beside::default();
    let len = control.0.len();
    let mut rest = &control.0[..len.min(header.msg_controllen)];
    while let Some((head, _)) = rest.split_at_checked(HEADER) {
        // SAFETY: `head` has the size of a cmsghdr, read unaligned; a struct of integers takes any bits.
        let head = unsafe { ptr::read_unaligned(head.as_ptr().cast::<libc::cmsghdr>()) };
        let len = head.cmsg_len;
        let Some(data) = rest.get(DATA..len) else { break };
        match (head.cmsg_level, head.cmsg_type) {
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => beside.kernel_time = timespec(data),
            // Three times: the kernel's, one that is not used any more, and the card's; what is not there is 0.
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING) => {
                let raw = data.get(2 * size_of::<libc::timespec>()..).and_then(timespec);
                beside.card_time = raw.filter(|&time| time != Timestamp::ZERO);
            }
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                beside.dropped = data.first_chunk().map(|&count| u32::from_ne_bytes(count));
            }
            (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                beside.ttl = integer(data);
            }
            // ip(7): one byte; IPv6 tells an int (RFC 3542 §6.5). The upper six bits are the code point.
            (libc::IPPROTO_IP, libc::IP_TOS) => beside.dscp = data.first().map(|&class| class >> 2),
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => beside.dscp = integer(data).map(|class| class >> 2),
            _ => {}
        }
        // SAFETY: arithmetic alone. (CMSG_SPACE(n) is CMSG_LEN(0) plus n, rounded up to the alignment.)
        let step = unsafe { libc::CMSG_SPACE((len - DATA) as libc::c_uint) } as usize;
        rest = rest.get(step..).unwrap_or_default();
    }
    beside
}

/// An int whose value is a byte's.
fn integer(data: &[u8]) -> Option<u8> {
    u8::try_from(libc::c_int::from_ne_bytes(*data.first_chunk()?)).ok()
}

fn timespec<C: Clock>(data: &[u8]) -> Option<Timestamp<C>> {
    let data: &[u8; size_of::<libc::timespec>()] = data.first_chunk()?;
    // SAFETY: `data` has the size of a timespec, read unaligned; a struct of integers takes any bits.
    let time = unsafe { ptr::read_unaligned(data.as_ptr().cast::<libc::timespec>()) };
    // Both fields are narrower on 32-bit machines.
    Some(Timestamp::from_nanos(time.tv_sec as i64 * 1_000_000_000 + time.tv_nsec as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Control messages as the kernel lays them out.
    fn control(messages: &[(libc::c_int, Vec<u8>)]) -> (libc::msghdr, Control) {
        let mut control = Control([0; 256]);
        let mut at = 0;
        for (kind, data) in messages {
            let len = size_of::<libc::cmsghdr>() + data.len();
            control.0[at..at + 8].copy_from_slice(&len.to_ne_bytes());
            control.0[at + 8..at + 12].copy_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
            control.0[at + 12..at + 16].copy_from_slice(&kind.to_ne_bytes());
            control.0[at + 16..at + len].copy_from_slice(data);
            at += len.next_multiple_of(8);
        }
        // SAFETY: all-zero is a valid value of this plain C struct.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_controllen = at;
        (header, control)
    }

    fn times(times: &[(i64, i64)]) -> Vec<u8> {
        times
            .iter()
            .flat_map(|(seconds, nanos)| [seconds.to_ne_bytes(), nanos.to_ne_bytes()].concat())
            .collect()
    }

    #[test]
    fn the_cards_time_is_told_apart_from_the_kernels() {
        let stamps = [
            (libc::SCM_TIMESTAMPNS, times(&[(5, 6)])),
            (libc::SCM_TIMESTAMPING, times(&[(0, 0), (0, 0), (42, 7)])),
            (libc::SO_RXQ_OVFL, 3u32.to_ne_bytes().to_vec()),
        ];
        let (header, bytes) = control(&stamps);
        let all = Beside {
            kernel_time: Some(Timestamp::from_nanos(5_000_000_006)),
            card_time: Some(Timestamp::from_nanos(42_000_000_007)),
            dropped: Some(3),
            ttl: None,
            dscp: None,
        };
        assert_eq!(control_of(&header, &bytes), all);
        // A card that did not stamp this one.
        let (header, bytes) = control(&[(libc::SCM_TIMESTAMPING, times(&[(5, 6), (0, 0), (0, 0)]))]);
        assert_eq!(control_of(&header, &bytes), Beside::default());
        // Cut short by a buffer that was too small.
        let (header, bytes) = control(&[(libc::SCM_TIMESTAMPING, times(&[(5, 6), (0, 0)]))]);
        assert_eq!(control_of(&header, &bytes), Beside::default());
    }

    #[test]
    fn no_length_in_a_control_message_leads_out_of_it() {
        let (mut header, mut bytes) = control(&[(libc::SCM_TIMESTAMPNS, times(&[(5, 6)]))]);
        for len in [0usize, 1, 15, 16, 17, 255, 257, usize::MAX, usize::MAX - 7] {
            bytes.0[..8].copy_from_slice(&len.to_ne_bytes());
            for total in [0, 8, 16, 32, 256, usize::MAX] {
                header.msg_controllen = total;
                let _ = control_of(&header, &bytes);
            }
        }
    }
}
