"""A small PTP grandmaster (IEEE 1588-2019, UDP over IPv4, two-step, end to end) that tells the system clock as TAI.

    grandmaster.py INTERFACE ADDRESS NUMBER DOMAIN valid|invalid

It announces once a second, sends eight syncs a second, and answers delay requests. Its stamps are taken by this program, so it is
right to about a millisecond on a quiet machine. It reads the clock and sets none.
"""

import select
import socket
import struct
import sys
import time

GROUP = "224.0.1.129"
EVENT, GENERAL = 319, 320
TAI_OFFSET = 37
PERIOD = 0.125
SO_TIMESTAMPNS = 35


def identity(number):
    """The clock identity of grandmaster NUMBER, as SDP writes it."""
    return f"02-00-00-FF-FE-00-00-{number:02X}"


def tai(nanos):
    """A PTP timestamp (48 bits of seconds, 32 of nanoseconds) of an instant of CLOCK_REALTIME."""
    seconds, rest = divmod(nanos, 1_000_000_000)
    return struct.pack(">HII", 0, seconds + TAI_OFFSET, rest)


class Grandmaster:
    def __init__(self, interface, address, number, domain, valid):
        self.clock = bytes.fromhex(identity(number).replace("-", ""))
        self.domain, self.valid, self.sequence, self.announced = domain, valid, 0, 0
        self.event, self.general = (self.open(interface, address, port) for port in (EVENT, GENERAL))
        self.event.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    @staticmethod
    def open(interface, address, port):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        sock.bind(("", port))
        own = socket.inet_aton(address)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + own)
        return sock

    def message(self, kind, body, *, flags=0, sequence, interval, correction=0):
        control = {0: 0, 8: 2, 9: 3}.get(kind, 5)
        return struct.pack(">BBHBBHq4x8sHHBb", kind, 2, 34 + len(body), self.domain, 0, flags, correction, self.clock, 1,
                           sequence, control, interval) + body

    def announce(self):
        # Flags: PTP time scale; the offset from UTC is valid.
        flags = 0x0008 | (0x0004 if self.valid else 0)
        body = bytes(10) + struct.pack(">hxBBBHB8sHB", TAI_OFFSET, 1, 6, 0x21, 0x4E5D, 1, self.clock, 0, 0x20)
        self.general.sendto(self.message(11, body, flags=flags, sequence=self.announced, interval=0), (GROUP, GENERAL))
        self.announced = (self.announced + 1) % 65536

    def sync(self):
        self.sequence = (self.sequence + 1) % 65536
        sync = self.message(0, bytes(10), flags=0x0200, sequence=self.sequence, interval=-3)
        at = time.time_ns()
        self.event.sendto(sync, (GROUP, EVENT))
        self.general.sendto(self.message(8, tai(at), sequence=self.sequence, interval=-3), (GROUP, GENERAL))

    def answer(self):
        data, beside, _, _ = self.event.recvmsg(256, 64)
        if len(data) < 44 or data[0] & 0x0F != 1 or data[4] != self.domain:
            return
        seconds, nanos = struct.unpack("qq", beside[0][2][:16])
        correction, = struct.unpack(">q", data[8:16])
        sequence, = struct.unpack(">H", data[30:32])
        body = tai(seconds * 1_000_000_000 + nanos) + data[20:30]
        response = self.message(9, body, sequence=sequence, interval=-2, correction=correction)
        self.general.sendto(response, (GROUP, GENERAL))

    def run(self):
        turn, due = 0, time.monotonic()
        while True:
            if time.monotonic() >= due:
                due += PERIOD
                if turn % 8 == 0:
                    self.announce()
                self.sync()
                turn += 1
            readable, _, _ = select.select([self.event, self.general], [], [], max(0, due - time.monotonic()))
            if self.event in readable:
                self.answer()
            if self.general in readable:
                self.general.recv(256)


if __name__ == "__main__":
    Grandmaster(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "valid").run()
