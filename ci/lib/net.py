"""A network of the check's own: a namespace with nothing in it but its loopback.

No packet can leave it, no other traffic can come in, two checks can use the same groups at the same time, and all of it
is gone when the last process in it ends.
"""

import ctypes
import os
import socket
import struct
import subprocess
import sys

from verdict import skip

MARK = "AUDYN_OWN_NETWORK"
IP_MULTICAST_ALL = 49
SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35


def own_network(name, mounts=False):
    """Starts this script again inside a namespace, or says why that cannot be and ends it. With `mounts` what it mounts is seen by
    nobody else."""
    if os.environ.get(MARK) != "1":
        command = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
        command += ["--mount"] if mounts else []
        if subprocess.run([*command, "true"], stdin=subprocess.DEVNULL, capture_output=True).returncode != 0:
            sys.exit(skip(f"ci/{name}", "network namespaces are not allowed here; run it as root"))
        os.environ[MARK] = "1"
        os.execvp(command[0], [*command, sys.executable, os.path.abspath(sys.argv[0]), *sys.argv[1:]])
    for arguments in ("link set lo up", "link set lo multicast on", "route replace 239.0.0.0/8 dev lo"):
        subprocess.run(["ip", *arguments.split()], check=True)


def die_with_parent():
    """For `preexec_fn`: the child gets SIGKILL when the check ends, however it ends."""
    ctypes.CDLL(None).prctl(1, 9)


def receiver(group, port, buffer=32 << 20):
    """A socket that hears one group on lo, with the kernel's arrival time of each datagram; see `drain`."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, buffer)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
    sock.bind((group, port))
    member = struct.pack("4s4si", socket.inet_aton(group), b"\0" * 4, socket.if_nametoindex("lo"))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    sock.setblocking(False)
    return sock


def drain(sock):
    """All datagrams that wait, as [(arrival in nanoseconds of CLOCK_REALTIME, bytes)]."""
    taken = []
    while True:
        try:
            data, ancillary, _, _ = sock.recvmsg(65536, 64)
        except BlockingIOError:
            return taken
        seconds, nanos = struct.unpack("qq", ancillary[0][2])
        taken.append((seconds * 1_000_000_000 + nanos, data))


def sender():
    """A socket that sends to groups on lo."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
    return sock


def listeners(group, port):
    """Sockets bound to this group and port: {inode: bytes that wait in the kernel}."""
    local = f"{struct.unpack('=I', socket.inet_aton(group))[0]:08X}:{port:04X}"
    found = {}
    with open("/proc/net/udp", encoding="ascii") as table:
        for line in table:
            fields = line.split()
            if fields[1] == local:
                found[int(fields[9])] = int(fields[4].split(":")[1], 16)
    return found
