"""What a check says: a line for everything measured, and an exit code that is not 0 if anything failed."""

import os
import sys


class Verdict:
    """Collects findings. `check` prints at once, so that an aborted run has said what it knew."""

    def __init__(self, name):
        self.name = name
        self.passed = 0
        self.failed = []
        self.skipped = 0

    def check(self, what, ok, detail=""):
        text = f"{what}: {detail}" if detail else what
        if ok:
            self.passed += 1
        else:
            self.failed.append(text)
        print(f"{'ok  ' if ok else 'FAIL'} {text}", flush=True)
        return ok

    def note(self, text):
        print(f"     {text}", flush=True)

    def skip(self, what, why):
        self.skipped += 1
        skip(f"ci/{self.name}: {what}", why)

    def finish(self):
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        print(f"ci/{self.name}: {self.passed} passed, {len(self.failed)} failed{skipped}", flush=True)
        return 1 if self.failed else 0


def skip(what, why):
    """Says that something was left out; SKIP_LOG, if there is one, lets the outermost script count."""
    print(f"SKIPPED: {what}: {why}", flush=True)
    log = os.environ.get("SKIP_LOG")
    if log:
        with open(log, "a", encoding="utf-8") as out:
            out.write(f"{what}: {why}\n")
    return 0


def die(text):
    """The check itself could not run: no verdict on the product, but no success either."""
    print(f"FAIL {text}", file=sys.stderr, flush=True)
    sys.exit(1)
