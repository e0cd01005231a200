"""Captures, written and taken here: a second opinion on files that the product reads.

A packet is (nanoseconds since 1970, bytes of an Ethernet frame).
"""

import socket
import struct

SO_TIMESTAMPNS = 35
SO_RCVBUFFORCE = 33
ETH_P_IP = 0x0800
PACKET_OUTGOING = 4


def udp(source, destination, port, payload, *, dscp=34, ttl=15, source_port=5004):
    """An Ethernet frame with an IPv4 UDP datagram; checksums are left out, as a card that computes them shows it."""
    body = struct.pack(">HHHH", source_port, port, 8 + len(payload), 0) + payload
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, dscp << 2, 20 + len(body), 0, 0, ttl, 17, 0,
                     socket.inet_aton(source), socket.inet_aton(destination))
    return b"\x01\x00\x5e\x00\x00\x01" + b"\x02" * 6 + struct.pack(">H", ETH_P_IP) + ip + body


def rtp(sequence, timestamp, payload, *, kind=97, ssrc=7):
    return struct.pack(">BBHII", 0x80, kind, sequence % 65536, timestamp % 2**32, ssrc) + payload


def announcement(group, port, encoding, rate, channels, kind=97):
    """A SAP packet: tshark takes the clock rate of a dynamic payload type from it."""
    sdp = (f"v=0\r\no=- {port} 1 IN IP4 192.0.2.1\r\ns=Check\r\nc=IN IP4 {group}/32\r\nt=0 0\r\n"
           f"m=audio {port} RTP/AVP {kind}\r\na=rtpmap:{kind} {encoding}/{rate}/{channels}\r\n").encode()
    sap = struct.pack(">BBH4s", 0x20, 0, 1, socket.inet_aton("192.0.2.1")) + b"application/sdp\0" + sdp
    return udp("192.0.2.1", "239.255.255.255", 9875, sap, source_port=9875)


def write(path, packets, *, nanoseconds=True, snap=262144, whole=0):
    """A pcap file. Packets longer than `snap` are cut, but for the first `whole` ones."""
    magic, unit = (0xA1B23C4D, 1) if nanoseconds else (0xA1B2C3D4, 1000)
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHIIII", magic, 2, 4, 0, 0, 262144, 1))
        for number, (at, frame) in enumerate(packets):
            held = frame if number < whole else frame[:snap]
            out.write(struct.pack("<IIII", at // 10**9, at % 10**9 // unit, len(held), len(frame)) + held)


def write_ng(path, packets, *, digits=9, big=False):
    """A pcapng file: one section, one interface, times with so many decimal digits."""
    order = ">" if big else "<"

    def block(kind, body):
        body += b"\0" * (-len(body) % 4)
        length = len(body) + 12
        return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", length)

    with open(path, "wb") as out:
        out.write(block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)))
        options = struct.pack(order + "HHB3xHH", 9, 1, digits, 0, 0)
        out.write(block(1, struct.pack(order + "HHI", 1, 0, 0) + options))
        for at, frame in packets:
            units = at * 10**digits // 10**9
            head = struct.pack(order + "IIIII", 0, units >> 32, units & 0xFFFFFFFF, len(frame), len(frame))
            out.write(block(6, head + frame))


def retimed(packets, rate=48000):
    """RTP packets in the order in which they came, at the times that their timestamps tell: a busy machine leaves no trace."""
    first = struct.unpack(">I", packets[0][1][46:50])[0]
    out, last = [], 0
    for _, frame in packets:
        ticks = (struct.unpack(">I", frame[46:50])[0] - first + 2**31) % 2**32 - 2**31
        last = max(last + 1000, 1_700_000_000 * 10**9 + ticks * 10**9 // rate)
        out.append((last, frame))
    return out


def payloads(packets, group):
    """The UDP payloads of what was sent to a group, of frames without IP options."""
    wanted = socket.inet_aton(group)
    return [frame[42:] for _, frame in packets if frame[30:34] == wanted]


class Tap:
    """Takes what passes on lo, with the kernel's times; call `drain` now and then."""

    def __init__(self, buffer=64 << 20):
        self.packets = []
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, buffer)
        except PermissionError:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.bind(("lo", ETH_P_IP))
        self.socket.setblocking(False)

    def drain(self):
        while True:
            try:
                data, ancillary, _, address = self.socket.recvmsg(65536, 64)
            except BlockingIOError:
                return self
            # lo shows each packet twice: as it leaves and as it comes.
            if address[2] != PACKET_OUTGOING:
                seconds, nanos = struct.unpack("qq", ancillary[0][2])
                self.packets.append((seconds * 10**9 + nanos, data))
