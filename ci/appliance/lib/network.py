"""A network namespace of the run's own, with a tap in it for each machine's audio network.

A network namespace lives as long as something holds it: here a file descriptor of this process, so nothing is left behind,
however the run ends. The tap's descriptor is handed to QEMU, which itself stays in the host's network (for the page's tunnel).
"""

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import threading

from report import Failed

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
LIBC = ctypes.CDLL(None, use_errno=True)


def _checked(result, what):
    if result != 0:
        raise Failed(f"{what}: {os.strerror(ctypes.get_errno())}")


class Network:
    """Use `run`/`spawn` (with `preexec`) for programs inside, `inside(f)` for a function."""

    def __init__(self):
        self._descriptor, self._taps = None, 0
        def make():
            _checked(LIBC.unshare(CLONE_NEWNET), "a network namespace cannot be made (root is needed)")
            self._descriptor = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self._in_thread(make)

    @staticmethod
    def _in_thread(function):
        result = []
        def body():
            try:
                result.append((function(), None))
            except BaseException as error:
                result.append((None, error))
        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        value, error = result[0]
        if error is not None:
            raise error
        return value

    def inside(self, function):
        """Runs `function` in a thread that is in the namespace; sockets that it makes stay in it."""
        def body():
            self.enter()
            return function()
        return self._in_thread(body)

    def enter(self):
        """For `preexec_fn`."""
        _checked(LIBC.setns(self._descriptor, CLONE_NEWNET), "the network namespace cannot be entered")

    def tap(self):
        """A new tap with a link-local address, as a box without anybody who gives addresses has one: (name, descriptor for QEMU,
        our address)."""
        number = self._taps
        self._taps += 1
        name, ours = f"box{number}", f"169.254.77.{number + 1}"
        def make():
            descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
            request = struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
            fcntl.ioctl(descriptor, TUNSETIFF, request)
            subprocess.run(["ip", "address", "add", f"{ours}/16", "dev", name], check=True)
            subprocess.run(["ip", "link", "set", name, "up"], check=True)
            return descriptor
        return name, self.inside(make), ours

    def close(self):
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def open_tcp_ports(network, tap, theirs, seconds=20):
    """TCP ports of the box at `theirs` that accept a connection, as a stranger on the audio network finds them: a SYN to each of
    the 65,535, twice, and the SYN-ACKs that come back. Returns them, and how many said that they are closed."""
    device, _, ours = tap

    def scan():
        out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
        source, target, own_port = socket.inet_aton(ours), socket.inet_aton(theirs), 44444
        out.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        found, refused = set(), set()

        def hear(patience):
            out.settimeout(patience)
            try:
                while True:
                    packet = out.recv(2048)
                    at = (packet[0] & 15) * 4
                    port, to, _, _, flags = struct.unpack_from("!HHIIxB", packet, at)
                    if packet[12:16] == target and to == own_port:
                        (found if flags & 0x12 == 0x12 else refused).add(port)
            except (TimeoutError, BlockingIOError):
                return
        for _ in range(2):
            for port in range(1, 65536):
                if port in found or port in refused:
                    continue
                header = struct.pack("!HHIIBBHHH", own_port, port, port, 0, 5 << 4, 2, 64240, 0, 0)
                pseudo = source + target + struct.pack("!BBH", 0, 6, len(header))
                header = header[:16] + struct.pack("!H", _checksum(pseudo + header)) + header[18:]
                out.sendto(header, (theirs, 0))
                if port % 64 == 0:
                    hear(0.005)
            hear(seconds / 2)
        out.close()
        return sorted(found), len(refused)
    return network.inside(scan)
