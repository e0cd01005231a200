"""What a run of the appliance's checks says: a line for each check, and what was passed, failed and left out at the end."""

import os
import sys
import threading
import time


class Failed(Exception):
    """The subject cannot go on: something that it waits for did not happen. One sentence."""


class Report:
    """Counts, and prints every line at once; `subject` is put before each."""

    def __init__(self):
        self.passed, self.failed, self.skipped = 0, [], []
        self.subject = "run"
        self.started = time.monotonic()
        self._lock = threading.Lock()

    def _print(self, mark, text):
        with self._lock:
            print(f"{mark} {self.subject}: {text}", flush=True)

    def check(self, what, ok, detail=""):
        """One verdict; `detail` is what was measured. Returns `ok`."""
        text = f"{what}: {detail}" if detail else what
        if ok:
            self.passed += 1
        else:
            self.failed.append(f"{self.subject}: {text}")
        self._print("ok  " if ok else "FAIL", text)
        return ok

    def equal(self, what, got, wanted):
        return self.check(what, got == wanted, f"{got!r}" if got == wanted else f"{got!r}, not {wanted!r}")

    def note(self, text):
        self._print("    ", text)

    def skip(self, what, why):
        self.skipped.append(f"{what}: {why}")
        self._print("SKIPPED", f"{what}: {why}")
        log = os.environ.get("SKIP_LOG")
        if log:
            with open(log, "a", encoding="utf-8") as out:
                out.write(f"ci/appliance {what}: {why}\n")

    def finish(self):
        """The last lines; the exit code."""
        for text in self.failed:
            print(f"failed: {text}")
        for text in self.skipped:
            print(f"skipped: {text}")
        minutes, seconds = divmod(round(time.monotonic() - self.started), 60)
        print(f"ci/appliance: {self.passed} passed, {len(self.failed)} failed, {len(self.skipped)} skipped, "
              f"in {minutes} min {seconds} s", flush=True)
        return 1 if self.failed else 0


def die(text):
    """The run itself could not begin: no verdict on the product, but no success either."""
    print(f"FAIL {text}", file=sys.stderr, flush=True)
    sys.exit(1)
