"""scripts/image: whoever ends it ends what it has started."""

import os
import signal
import subprocess
import time

from .tools import REPO

# As scripts/image does with its boards; the program that takes long is one like npm: it starts another and waits for it.
SCRIPT = """
set -euo pipefail
. scripts/lib.sh
board() { trap 'echo tidied >>"$WORK/said"' EXIT; (cd / && "$WORK/npm" ci) >/dev/null || exit; }
{call} board
"""
NPM = '#!/bin/sh\nsleep 600 &\necho $$ $! >"$WORK/pids"\nwait\n'


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def hearing():
    """Who started this check may have had some of them ignored (nohup does), and a shell can't trap what was ignored when it began."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def ended_by(work, number, call):
    """(exit code, processes left) after that signal, sent to the script alone."""
    pids = work / "pids"
    pids.unlink(missing_ok=True)
    script = subprocess.Popen(["bash", "-c", SCRIPT.replace("{call}", call)], cwd=REPO, env={**os.environ, "WORK": str(work)},
                              start_new_session=True, preexec_fn=hearing)
    assert until(lambda: pids.exists() and pids.read_text().endswith("\n"))
    children = [int(pid) for pid in pids.read_text().split()]
    script.send_signal(number)
    code = script.wait(60)
    until(lambda: not any(map(lives, children)), 5 if call else 0.5)
    left = [pid for pid in children if lives(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return code, left


def run(work, check):
    (work / "npm").write_text(NPM)
    (work / "npm").chmod(0o755)
    for number, wanted in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143)):
        (work / "said").write_text("")
        code, left = ended_by(work, number, "run_until_ended")
        check(f"image: {number.name} ends npm and what npm started", code == wanted and not left, f"{code} {left}")
        check(f"image: {number.name}: and its own scratch space is tidied", (work / "said").read_text() == "tidied\n")
    _, left = ended_by(work, signal.SIGTERM, "")
    check("image: what bash itself would leave is seen", len(left) == 2, str(left))
    (work / "npm").write_text("#!/bin/sh\nexit 7\n")
    code = subprocess.run(["bash", "-c", SCRIPT.replace("{call}", "run_until_ended")], cwd=REPO, env={**os.environ, "WORK": str(work)}, check=False).returncode
    check("image: a failure is the script's", code == 7, str(code))
    text = (REPO / "scripts/image").read_text()
    check("image: both kinds of board are run so", "run_until_ended lab_image" in text and "run_until_ended buildroot_image" in text)
