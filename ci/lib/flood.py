"""Rubbish for audio ports, and a sender that reaches more than one system call a datagram does.

Datagrams are laid ready once and sent over and over in one order, so that what was sent is known by counting, not by noting.
"""

import collections
import ctypes
import os
import socket
import struct
import time

# The engine's counters of what it refuses.
REFUSED = ["too_short", "bad_version", "malformed", "wrong_payload_type", "wrong_size", "oversized", "foreign_source"]


def rtp(ssrc, *, version=2, padding=0, extension=0, csrcs=0, pt=96, sequence=0, timestamp=0, payload=bytes(288)):
    first = version << 6 | padding << 5 | extension << 4 | csrcs
    return struct.pack(">BBHII", first, pt, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


def rubbish(dice, ssrc, count=200):
    """Shuffled [(counter, datagram)], `count` for each counter that must count them; None for random bytes, which may fall
    under any."""
    def anywhere():
        return {"sequence": dice.randrange(1 << 16), "timestamp": dice.randrange(1 << 32)}

    kinds = {
        None: lambda: dice.randbytes(dice.randrange(1, 1400)),
        "too_short": lambda: rtp(ssrc, **anywhere())[:dice.randrange(1, 12)],
        "bad_version": lambda: rtp(ssrc, version=dice.choice([0, 1, 3]), **anywhere()),
        "malformed": lambda: dice.choice([
            rtp(ssrc, csrcs=15, payload=bytes(8), **anywhere()),
            rtp(ssrc, extension=1, payload=b"\0\0\xff\xff" + bytes(20), **anywhere()),
            rtp(ssrc, padding=1, payload=bytes(11) + b"\xc8", **anywhere()),
            rtp(ssrc, padding=1, **anywhere())]),
        "wrong_payload_type": lambda: rtp(ssrc, pt=dice.choice([0, 10, 97, 127]), **anywhere()),
        "wrong_size": lambda: rtp(ssrc, payload=bytes(dice.choice([0, 1, 287, 289])), **anywhere()),
        "oversized": lambda: rtp(ssrc, payload=bytes(dice.choice([9000, 20000])), **anywhere()),
        "foreign_source": lambda: rtp(dice.randrange(1 << 32) | 1, payload=dice.randbytes(288), **anywhere()),
    }
    pool = [(kind, make()) for kind, make in kinds.items() for _ in range(count)]
    dice.shuffle(pool)
    return pool


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("len", ctypes.c_size_t)]


class Header(ctypes.Structure):
    """struct msghdr of sendmsg(2)."""
    _fields_ = [("name", ctypes.c_char_p), ("namelen", ctypes.c_uint), ("iov", ctypes.POINTER(Iovec)),
                ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                ("flags", ctypes.c_int)]


class Message(ctypes.Structure):
    """struct mmsghdr of sendmmsg(2)."""
    _fields_ = [("header", Header), ("len", ctypes.c_uint)]


class Flood:
    """Datagrams [(group, port, kind, bytes)] that are sent in this order, again from the first after the last."""

    BATCH = 64
    LATE = 0.02  # seconds that a sender that was held up makes up for, at once; the rest it sends later

    def __init__(self, out, datagrams):
        self.out, self.datagrams, self.sent, self.lasted = out, datagrams, 0, 0.0
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.names = [struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), socket.inet_aton(group))
                      for group, port, _, _ in datagrams]
        self.vectors = (Iovec * len(datagrams))(*[(data, len(data)) for _, _, _, data in datagrams])
        self.messages = (Message * len(datagrams))()
        for n, message in enumerate(self.messages):
            message.header.name, message.header.namelen = self.names[n], 16
            message.header.iov, message.header.iovlen = ctypes.pointer(self.vectors[n]), 1

    def send(self, count):
        """The next `count` datagrams."""
        while count > 0:
            at = self.sent % len(self.datagrams)
            batch = min(count, self.BATCH, len(self.datagrams) - at)
            done = self.libc.sendmmsg(self.out.fileno(), ctypes.byref(self.messages, at * ctypes.sizeof(Message)), batch, 0)
            if done < 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
            self.sent += done
            count -= done

    def pace(self, rate, number):
        """`number` datagrams at `rate` a second, or as many a second as this machine lets it."""
        begin = due_since = time.monotonic()
        done = 0
        while done < number:
            now = time.monotonic()
            due_since = max(due_since, now - self.LATE - done / rate)
            due = min(number, int((now - due_since) * rate) + 1)
            if due > done:
                self.send(due - done)
                done = due
            else:
                time.sleep(0.0005)
        self.lasted += time.monotonic() - begin

    def rate(self):
        return self.sent / self.lasted

    def count(self):
        """What was sent: {(group, port, kind): datagrams}."""
        rounds, more = divmod(self.sent, len(self.datagrams))
        sent = collections.Counter()
        for n, (group, port, kind, _) in enumerate(self.datagrams):
            sent[group, port, kind] += rounds + (n < more)
        return sent
