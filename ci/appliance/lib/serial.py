"""The serial console: every line with the time at which it came, to be searched and waited for."""

import re
import socket
import threading
import time

from report import Failed

# Cursor movements, colours and the firmware's screen modes say nothing to a reader of lines.
_ESCAPES = re.compile(rb"\x1b(\[[0-9;?=]*[A-Za-z]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][A-Z0-9]|[=>cDM78])")


class Serial:
    def __init__(self, path, log):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._log = open(log, "w", encoding="utf-8")
        self._told = threading.Condition()
        self._lines, self._partial, self._ended = [], "", False
        self._started = time.monotonic()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        rest = b""
        while True:
            try:
                data = self._socket.recv(65536)
            except OSError:
                data = b""
            if not data:
                break
            *lines, rest = (rest + data).replace(b"\r", b"").split(b"\n")
            now = time.monotonic()
            with self._told:
                for line in lines:
                    self._add(now, line)
                self._partial = _ESCAPES.sub(b"", rest).decode(errors="replace")
                self._told.notify_all()
        with self._told:
            if rest:
                self._add(time.monotonic(), rest)
            self._partial, self._ended = "", True
            self._log.close()
            self._told.notify_all()

    def _add(self, now, raw):
        text = _ESCAPES.sub(b"", raw).decode(errors="replace").rstrip()
        if text:
            self._lines.append((now, text))
            self._log.write(f"{now - self._started:9.3f} {text}\n")
            self._log.flush()

    def mark(self):
        """A place to search from: what has been said until now is before it."""
        with self._told:
            return len(self._lines)

    def find(self, pattern, since=0):
        """The lines that match, as [(monotonic time, line)]."""
        with self._told:
            return [(at, text) for at, text in self._lines[since:] if re.search(pattern, text)]

    def wait(self, pattern, since=0, seconds=300, what=None):
        """The first line that matches, at or after the mark; an unfinished line (a prompt) counts."""
        def found():
            for at, text in self._lines[since:]:
                if re.search(pattern, text):
                    return at, text
            if re.search(pattern, self._partial):
                return time.monotonic(), self._partial
            return None
        with self._told:
            self._told.wait_for(lambda: found() or self._ended, seconds)
            hit = found()
        if hit is None:
            raise Failed(f"{what or 'the console'}: no line like /{pattern}/ within {seconds} s; last: {self.tail()}")
        return hit

    def tail(self, lines=3):
        with self._told:
            texts = [text for _, text in self._lines[-lines:]]
        return " | ".join(texts) or "(nothing)"

    def type(self, text):
        self._socket.sendall(text.encode())

    def close(self):
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()
