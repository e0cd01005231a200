"""The root shell of the lab image, over a virtio-serial port: a line in, a line out.

We say `ID SECONDS BASE64(script)`, the box answers `ID CODE BASE64(stdout and stderr)`. What was said to a box that was then
reset is forgotten with the connection, so nothing is run by the next boot that was meant for this one.
"""

import base64
import itertools
import select
import socket
import time

from report import Failed


class Answer:
    def __init__(self, code, text):
        self.code, self.text = code, text

    @property
    def ok(self):
        return self.code == 0

    def __str__(self):
        return self.text.strip()


class Agent:
    def __init__(self, path, dead, resets):
        """`dead()`: the machine has ended; `resets()`: how often it was reset, which takes a running script with it."""
        self._path, self._dead, self._resets = path, dead, resets
        self._ids = itertools.count(1)
        self._socket, self._rest = None, b""

    def connect(self):
        self.close()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(self._path))
        self._rest = b""

    def close(self):
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ask(self, script, seconds=120):
        """Runs a script; None if no answer came in time or the machine went away."""
        if self._socket is None:
            self.connect()
        ident = f"{time.monotonic_ns():x}-{next(self._ids)}"
        deadline, resets = time.monotonic() + seconds, self._resets()
        try:
            self._socket.sendall(f"{ident} {max(1, int(seconds))} ".encode() + base64.b64encode(script.encode()) + b"\n")
            while time.monotonic() < deadline and not self._dead() and self._resets() == resets:
                ready, _, _ = select.select([self._socket], [], [], min(1.0, max(0.0, deadline - time.monotonic())))
                if not ready:
                    continue
                data = self._socket.recv(1 << 20)
                if not data:
                    break
                *lines, self._rest = (self._rest + data).split(b"\n")
                for line in lines:
                    fields = line.strip().split(b" ", 2)
                    if len(fields) >= 2 and fields[0] == ident.encode():
                        body = base64.b64decode(fields[2]) if len(fields) > 2 else b""
                        return Answer(int(fields[1]), body.decode(errors="replace"))
        except OSError:
            pass
        self.close()
        return None

    def wait(self, seconds, what="the box"):
        """Until the agent answers: a question that the last boot took with it is asked again."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._dead():
                raise Failed(f"{what}: QEMU ended while it was waited for")
            self.close()
            answer = self.ask("cat /proc/sys/kernel/random/boot_id", min(20, max(1, deadline - time.monotonic())))
            if answer is not None and answer.ok:
                return answer.text.strip()
        raise Failed(f"{what} did not come up: its agent was silent for {seconds} s")
