"""QEMU's control socket: commands in order, and its events as they come."""

import json
import socket
import threading
import time

from report import Failed


class Qmp:
    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._file = self._socket.makefile("rw", encoding="utf-8", newline="\n")
        self._told = threading.Condition()
        self._replies, self.events, self.ended = [], [], False
        json.loads(self._file.readline())  # the greeting
        threading.Thread(target=self._read, daemon=True).start()
        self("qmp_capabilities")

    def _read(self):
        try:
            for line in self._file:
                message = json.loads(line)
                with self._told:
                    if "event" in message:
                        self.events.append((time.monotonic(), message["event"], message.get("data", {})))
                    else:
                        self._replies.append(message)
                    self._told.notify_all()
        except (OSError, ValueError):
            pass
        with self._told:
            self.ended = True
            self._told.notify_all()

    def __call__(self, command, **arguments):
        with self._told:
            self._file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
            self._file.flush()
            if not self._told.wait_for(lambda: self._replies or self.ended, 120) or not self._replies:
                raise Failed(f"QEMU did not answer to {command}")
            reply = self._replies.pop(0)
        if "error" in reply:
            raise Failed(f"QEMU refused {command}: {reply['error'].get('desc')}")
        return reply["return"]

    def wait_event(self, name, since=0, seconds=300):
        """The first event of this name at or after index `since`: (index, data)."""
        def found():
            return next(((i, e[2]) for i, e in enumerate(self.events) if i >= since and e[1] == name), None)
        with self._told:
            self._told.wait_for(lambda: found() or self.ended, seconds)
            if not found():
                raise Failed(f"QEMU told of no {name} within {seconds} s")
            return found()

    def count(self, name):
        with self._told:
            return sum(1 for event in self.events if event[1] == name)

    def close(self):
        self._socket.close()
