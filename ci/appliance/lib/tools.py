"""The programs that the machine and its disks need, out of the tree of tools that `scripts/image` makes.

They run by the tree's own loader and libraries, without entering it: so a program is our direct child (its id is the one
that we may kill), it sees the same paths as we do, and no rights are needed. Must never: use a QEMU of the host, whose age
nobody knows.
"""

import ctypes
import os
import shlex
import subprocess
from functools import lru_cache
from pathlib import Path

from report import die

ROOT = Path(__file__).resolve().parents[3]
LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/systemd")


@lru_cache(maxsize=None)
def tree():
    """The root of the tools' tree: AUDYN_TOOLS_ROOT, or what scripts/image keeps (and makes, if it must)."""
    named = os.environ.get("AUDYN_TOOLS_ROOT")
    if not named:
        asked = subprocess.run(["bash", "-c", '. scripts/lib.sh && . scripts/image.d/common.sh && need_tools >&2 && echo "$TOOLS"'],
                               cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        named = asked.stdout.strip().splitlines()[-1] if asked.returncode == 0 and asked.stdout.strip() else ""
    if not named or not (Path(named) / "usr/bin/qemu-system-x86_64").exists():
        die(f"there is no tree of tools with QEMU in it ({named or 'none named'}): run scripts/image lab, or set AUDYN_TOOLS_ROOT")
    return Path(named)


def program(name, *arguments):
    """The command line that runs a program of the tree."""
    root = tree()
    places = [root / folder / name for folder in ("usr/bin", "usr/sbin", "bin", "sbin")]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        die(f"{name} is missing in the tools' tree {root}: make it anew with scripts/image lab")
    libraries = ":".join(str(root / folder) for folder in LIBRARIES)
    return [str(root / "lib64/ld-linux-x86-64.so.2"), "--library-path", libraries, str(found), *map(str, arguments)]


def environment():
    """For programs of the tree: they find their own modules and data."""
    root = tree()
    return {**os.environ, "QEMU_MODULE_DIR": str(root / "usr/lib/x86_64-linux-gnu/qemu"), "LC_ALL": "C.UTF-8",
            "MTOOLS_SKIP_CHECK": "1"}


def helpers(folder, *names):
    """A directory for PATH with programs of the tree that another one starts by name."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {shlex.join(program(name))} "$@"\n')
        script.chmod(0o755)
    return folder


def run(name, *arguments, check=True, text=True, path=None):
    """Runs a program of the tree to its end, with `path` before PATH; raises what it said if it fails and `check` is set."""
    variables = environment()
    if path:
        variables["PATH"] = f"{path}:{variables['PATH']}"
    done = subprocess.run(program(name, *arguments), stdin=subprocess.DEVNULL, capture_output=True, env=variables, text=text)
    if check and done.returncode != 0:
        said = done.stderr if text else done.stderr.decode(errors="replace")
        raise RuntimeError(f"{name} {' '.join(map(str, arguments))}: exit code {done.returncode}: {said.strip()[-400:]}")
    return done


def die_with_parent():
    """For `preexec_fn`: the child gets SIGKILL when we end, however we end; and our Ctrl-C is ours to handle."""
    ctypes.CDLL(None).prctl(1, 9)
    os.setpgid(0, 0)
