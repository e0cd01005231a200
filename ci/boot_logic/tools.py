"""The chroot of Debian 13 tools that scripts/image makes: found, never made here (that would need the network)."""

import os
import subprocess
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
ENTER = """
set -euo pipefail
cd "$1"; . scripts/lib.sh; . scripts/image.d/common.sh
TOOLS=$2 TOOLS_BIND=("$3"); shift 3
run_in_tools "$@"
"""


def root():
    """Its path, or None with the reason."""
    named = os.environ.get("AUDYN_TOOLS_ROOT")
    if os.geteuid() != 0:
        return None, "entering the tools needs root"
    if named:
        return (Path(named), None) if Path(named, "usr/bin/rauc").exists() else (None, f"there are no tools in {named}")
    cache = Path(os.environ.get("AUDYN_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "audyn")
    found = sorted(path.parent for path in cache.glob("tools-*/.complete"))
    return (found[-1], None) if found else (None, "no chroot of tools is there yet (scripts/image tools -- true makes it)")


class Tools:
    def __init__(self, path, work):
        self.path = path
        self.work = work

    def run(self, *command, check=True, **more):
        result = subprocess.run(["bash", "-c", ENTER, "tools", str(REPO), str(self.path), str(self.work), *map(str, command)],
                                capture_output=True, text=True, errors="replace", check=False, **more)
        if check and result.returncode != 0:
            raise RuntimeError(f"{command}: {result.stdout[-500:]}{result.stderr[-500:]}")
        return result

    def shell(self, text, check=True, **more):
        return self.run("sh", "-ec", f"cd {self.work}\n{text}", check=check, **more)
