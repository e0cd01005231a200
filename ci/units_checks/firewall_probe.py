"""Runs in a network namespace of its own (network.py starts it): loads the firewall's rules, makes a neighbour, and tries
what comes in. Prints a line of JSON: {"what": got in or not}.

No waiting for what must not come: after each packet goes one that is let in; when that is there, the other one would be too.
"""

import ctypes
import json
import os
import socket
import struct
import subprocess
import sys

BOX, NEIGHBOUR = "192.0.2.1", "192.0.2.2"
BOX6 = "2001:db8::1"
LIBC = ctypes.CDLL(None, use_errno=True)


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def enter(namespace):
    if LIBC.setns(namespace, 0x40000000) != 0:  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "setns")


class Network:
    """The box (this namespace) and a neighbour (another one) on one cable."""

    def __init__(self):
        self.box = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; read _"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        self.neighbour = os.open(f"/proc/{self.holder.pid}/ns/net", os.O_RDONLY)
        ip("link", "set", "lo", "up")
        ip("link", "add", "box0", "type", "veth", "peer", "name", "out0", "netns", str(self.holder.pid))
        self.settle("box0", BOX, BOX6)
        enter(self.neighbour)
        self.settle("out0", NEIGHBOUR, "2001:db8::2")
        ip("route", "add", "224.0.0.0/4", "dev", "out0")
        enter(self.box)

    @staticmethod
    def settle(name, address, address6):
        for scope in ("all", name):
            with open(f"/proc/sys/net/ipv4/conf/{scope}/rp_filter", "w") as out:
                out.write("0")
        ip("addr", "add", f"{address}/24", "dev", name)
        ip("link", "set", name, "up")
        ip("addr", "add", f"{address6}/64", "dev", name, "nodad")

    def outside(self, family, kind, protocol=0):
        enter(self.neighbour)
        try:
            return socket.socket(family, kind, protocol)
        finally:
            enter(self.box)


def receiver(port, group=None, family=socket.AF_INET):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((group or "", port))
    if group:
        member = struct.pack("4s4si", socket.inet_aton(group), b"\0" * 4, socket.if_nametoindex("box0"))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    sock.setblocking(False)
    return sock


def main(rules):
    net = Network()
    subprocess.run(["nft", "-f", rules], check=True)
    # A second time: what is loaded must be replaceable.
    subprocess.run(["nft", "-f", rules], check=True)

    marks = receiver(5500)
    marks.setblocking(True)
    marks.settimeout(30)
    sender = net.outside(socket.AF_INET, socket.SOCK_DGRAM)
    counter = 0

    def mark():
        """Everything sent before this has been judged by the box, and its answer has come back."""
        nonlocal counter
        counter += 1
        sender.sendto(str(counter).encode(), (BOX, 5500))
        while marks.recvfrom(64)[0] != str(counter).encode():
            pass

    def came(sock):
        mark()
        try:
            sock.recv(2048)
            return True
        except BlockingIOError:
            return False

    def udp(port, group=None, source=None):
        sock, out = receiver(port, group), sender
        if source:
            out = net.outside(socket.AF_INET, socket.SOCK_DGRAM)
            out.bind(("", source))
        out.sendto(b"x", (group or BOX, port))
        return came(sock)

    def udp6(port):
        sock, out = receiver(port, family=socket.AF_INET6), net.outside(socket.AF_INET6, socket.SOCK_DGRAM)
        out.sendto(b"x", (BOX6, port))
        # The neighbour asks for the box's address first, so the packet is late by that; its own mark follows it.
        if port == 5004:
            sock.settimeout(30)
            return bool(sock.recv(64))
        return came(sock)

    def tcp(port):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((BOX, port))
        listener.listen()
        client = net.outside(socket.AF_INET, socket.SOCK_STREAM)
        client.setblocking(False)
        client.connect_ex((BOX, port))
        mark()
        # TCP_INFO's first byte is the state: 1 is established, 2 SYN sent (linux/tcp.h).
        return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1

    def ping():
        raw = net.outside(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        body = struct.pack("!BBHHH", 8, 0, 0, 1, 1)
        total = sum(struct.unpack("!4H", body))
        total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
        raw.setblocking(False)
        raw.sendto(body[:2] + struct.pack("!H", total) + body[4:], (BOX, 0))
        mark()
        try:
            return raw.recv(256)[20] == 0
        except BlockingIOError:
            return False

    def answer():
        """What the box asked for comes back, to a port that is not open."""
        server = net.outside(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("", 123))
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.setblocking(False)
        client.sendto(b"what time is it", (NEIGHBOUR, 123))
        server.settimeout(30)
        _, back = server.recvfrom(64)
        server.sendto(b"late", back)
        return came(client)

    results = {
        "audio multicast 239.69.1.1:5004": udp(5004, "239.69.1.1"),
        "audio multicast 239.255.7.7:49152": udp(49152, "239.255.7.7"),
        "audio unicast 5004": udp(5004),
        "audio unicast 5999": udp(5999),
        "audio unicast 5004, IPv6": udp6(5004),
        "PTP event, multicast": udp(319, "224.0.1.129"),
        "PTP general, unicast": udp(320),
        "DHCP's answer": udp(68, source=67),
        "ping": ping(),
        "an answer to a question": answer(),
        "SAP": udp(9875, "239.255.255.255"),
        "mDNS": udp(5353, "224.0.0.251"),
        "multicast below 1024": udp(137, "239.1.1.1"),
        "unicast 6000": udp(6000),
        "unicast 6000, IPv6": udp6(6000),
        "to port 68 from elsewhere": udp(68, source=6868),
        "NTP as if to a server": udp(123),
        "TCP 80": tcp(80),
        "TCP 443": tcp(443),
        "TCP 22": tcp(22),
    }
    subprocess.run(["nft", "add", "element", "inet", "audyn", "tcp_open", "{ 22 }"], check=True)
    results["TCP 22 while SSH is on"] = tcp(22)
    subprocess.run(["nft", "delete", "element", "inet", "audyn", "tcp_open", "{ 22 }"], check=True)
    results["TCP 22 when SSH is off again"] = tcp(22)
    print(json.dumps(results))
    net.holder.stdin.close()
    net.holder.wait()


if __name__ == "__main__":
    main(sys.argv[1])
