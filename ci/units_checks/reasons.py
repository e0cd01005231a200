"""reasons: every line that limits a service says why."""

import re

from units_checks.overlay import UNITS, units

# What limits a service, or gives it a right.
LIMITING = re.compile(
    r"^(Protect\w+|Private\w+|Restrict(?!ed)\w+|SystemCall\w+|CapabilityBoundingSet|AmbientCapabilities|NoNewPrivileges|"
    r"Device\w+|IPAddress\w+|ReadWritePaths|ReadOnlyPaths|InaccessiblePaths|Bind\w*Paths|ExecPaths|NoExecPaths|MemoryDeny\w+|"
    r"LockPersonality|Limit\w+|MemoryMax|TasksMax|Nice|OOMScoreAdjust|CPUScheduling\w+|IOScheduling\w+|UMask|User|Group|"
    r"SupplementaryGroups|RemoveIPC|KeyringMode|ProcSubset|DynamicUser|Watchdog\w+|FileDescriptorStore\w+)="
)
NOT_LIMITING = re.compile(r"^(RestartSec|RestartSteps|RestartMaxDelaySec)=")

# So many lines may share one comment: what goes together, but never a whole sandbox under a heading.
AT_MOST = 5
# Root's own scripts of the boot and update have no sandbox to give reasons for; their few lines are judged all the same.


def unreasoned(text):
    """Limiting lines that stand under no comment: a comment covers the lines after it, at most AT_MOST, up to the next blank."""
    found, covered = [], 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line.startswith(("#", ";")):
            # A heading between dashes is no reason.
            covered = 0 if line.startswith("# ---") else AT_MOST
        elif not line or line.startswith("["):
            covered = 0
        elif LIMITING.match(line) and not NOT_LIMITING.match(line):
            if covered == 0:
                found.append(f"line {number}: {line}")
            covered = max(0, covered - 1)
        # Other lines in between take nothing away: the comment may be about them and the limits together.
    return found


# What these two deliberately don't have is told too, by name: whoever adds or removes one reads why.
ABSENT = {
    "audyn-engine.service": ["RestrictRealtime", "PrivateDevices", "PrivateNetwork", "IPAddressDeny", "CPUAffinity", "AllowedCPUs", "RuntimeDirectory"],
    "audyn-ptp4l@.service": ["RestrictRealtime", "ProtectClock", "PrivateUsers"],
    "audyn-chrony.service": ["ProtectClock", "PrivateUsers"],
}


def run(verdict, _work):
    for name, path in units().items():
        if path.suffix == ".service":
            found = unreasoned(path.read_text())
            verdict.check(f"reasons: {name}", not found, "; ".join(found[:6]))
    for name, keys in ABSENT.items():
        text = (UNITS / name).read_text()
        missing = [key for key in keys if not re.search(rf"^#.*\bNo [^\n]*\b{key}=", text, re.M) or re.search(rf"^{key}=", text, re.M)]
        verdict.check(f"reasons: {name} says what it does without", not missing, ", ".join(missing))

    bare = "[Service]\nProtectHome=yes\n"
    under_heading = "[Service]\n# --- What it may see ---\nProtectHome=yes\n"
    many = "[Service]\n# all of it\n" + "".join(f"Protect{n}=yes\n" for n in ("Home", "System", "Clock", "Hostname", "KernelLogs", "Proc"))
    good = "[Service]\n# Nobody lives here.\nProtectHome=yes\n"
    verdict.check("reasons refuses a bare line, a line under a heading, and a crowd under one comment",
                  all(map(unreasoned, (bare, under_heading, many))) and not unreasoned(good))
