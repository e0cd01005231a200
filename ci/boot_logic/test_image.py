"""scripts/image: whoever ends it ends what it has started; a wrong call is judged before anything is installed."""

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


# In place of what installs, fetches or becomes root: it tells, and does nothing. No package is there, by its dpkg-query.
TELLS = '#!/bin/sh\nprintf "%s %s\\n" "${0##*/}" "$*" >>"$TOLD"\nexit 1\n'
INSTALLERS = ("apt-get", "apt-cache", "sudo", "mmdebstrap", "curl", "wget", "npm", "cargo")


def called(work, *args):
    """scripts/image, called so, on a machine without its packages: (its result, what it would have installed or fetched)."""
    told = work / "told"
    told.write_text("")
    environment = {name: value for name, value in os.environ.items() if name != "AUDYN_BUILDROOT_SHA256"}
    environment |= {"PATH": f"{work}/bin:{os.environ['PATH']}", "TOLD": str(told), "AUDYN_CACHE": f"{work}/cache", "AUDYN_KEYS": f"{work}/keys"}
    board, *more = map(str, args)
    more = more if board == "tools" else ["--out", f"{work}/out", *more]
    result = subprocess.run([REPO / "scripts/image", board, *more], capture_output=True, text=True, check=False, timeout=120,
                            env=environment, stdin=subprocess.DEVNULL, cwd=work)
    return result, told.read_text()


def wrong_calls(work, check):
    (work / "bin").mkdir()
    for name in INSTALLERS:
        (work / "bin" / name).write_text(TELLS)
    (work / "bin/dpkg-query").write_text("#!/bin/sh\nexit 1\n")
    for path in (work / "bin").iterdir():
        path.chmod(0o755)
    for name, version in (("tree", "2026.08"), ("old", "2019.02")):
        (work / name / "support").mkdir(parents=True)
        (work / name / "Makefile").write_text(f"export BR2_VERSION := {version}\n")
    (work / "empty").mkdir()
    # The rule is tried on a call that is right: it must be heard when it gets to its packages.
    for right in (("lab",), ("tools", "--", "true"), ("x86_64-efi", "--buildroot", "tree")):
        result, told = called(work, *right)
        check(f"image: a right call is heard to install ({' '.join(right)})", result.returncode != 0 and ("apt-get install" in told or "sudo" in told), f"{told}{result.stderr}")
    for words, *call in (
        ("name a board", ""), ("there is no board `x86`", "x86"), ("unknown option `--relase`", "lab", "--relase"), ("wants a value", "lab", "--key"),
        ("is not like 1.2.3", "lab", "--version", "one"), ("a lab image is no release", "lab", "--release"), ("belong together", "lab", "--key", "tree/Makefile"),
        ("can't be read", "lab", "--key", "none", "--cert", "none", "--keyring", "none"), ("--release wants --key", "x86_64-efi", "--release"),
        ("is no Buildroot tree", "x86_64-efi", "--buildroot", "empty"), ("is no Buildroot tree", "raspberrypi-cm", "--buildroot", "none"),
        ("is Buildroot 2019.02", "aarch64-efi", "--buildroot", "old"), ("set AUDYN_BUILDROOT_SHA256", "x86_64-efi"),
        ("--binaries is for the lab", "x86_64-efi", "--buildroot", "tree", "--binaries", "empty"),
        ("are for the lab", "x86_64-efi", "--buildroot", "tree", "--bundle-only"), ("are for the lab", "x86_64-efi", "--buildroot", "tree", "--mutate", "old/Makefile"),
        ("--trust is for the lab", "x86_64-efi", "--buildroot", "tree", "--trust", "tree/Makefile"), ("the command is missing", "tools", "--"),
    ):
        result, told = called(work, *call)
        said = result.stderr.strip().splitlines()
        check(f"image: a wrong call installs nothing ({' '.join(call) or 'no board'}: {words})",
              result.returncode == 1 and said and said[-1].startswith("FAILED: ") and words in said[-1] and not told, f"{result.returncode} {told}{result.stderr[-500:]}")


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
    wrong_calls(work, check)
