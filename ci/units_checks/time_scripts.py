"""time: leap seconds, and the scripts around PTP and NTP, with stand-ins for ethtool, pmc and chronyc."""

import datetime
import shutil
import subprocess
from pathlib import Path

from units_checks.overlay import OVERLAY, UNITS, of

LIB = OVERLAY / "usr/lib/audyn-time"
EPOCH = datetime.datetime(1900, 1, 1)

HARDWARE = """Time stamping parameters for eth0:
Capabilities:
	hardware-transmit
	software-transmit
	hardware-receive
	software-receive
	software-system-clock
	hardware-raw-clock
PTP Hardware Clock: 0
Hardware Transmit Timestamp Modes:
	off
	on
Hardware Receive Filter Modes:
	none
	all
"""
SOFTWARE = """Time stamping parameters for eth0:
Capabilities:
	software-transmit
	software-receive
	software-system-clock
PTP Hardware Clock: none
Hardware Transmit Timestamp Modes: none
Hardware Receive Filter Modes: none
"""


def run(verdict, work):
    leap_seconds(verdict)
    saved_time(verdict)
    without_chrony(verdict)
    for shell in (["dash"], ["busybox", "sh"]):
        if shutil.which(shell[0]) is None:
            verdict.skip(f"time scripts by {shell[0]}", "it is not installed")
            continue
        box = Box(work / f"time-{shell[0]}", shell)
        ptp_config(verdict, box)
        time_gate(verdict, box)
        told_synchronised(verdict, box)
        ntp_sources(verdict, box)


class Box:
    """Directories and programs that a script sees instead of the box's."""

    def __init__(self, path, shell):
        self.path, self.shell, self.name = path, shell, shell[0]
        self.tools = path / "bin"
        for directory in (self.tools, path / "run/slots", path / "leases"):
            directory.mkdir(parents=True)

    def tool(self, name, script):
        (self.tools / name).write_text("#!/bin/sh\n" + script)
        (self.tools / name).chmod(0o755)

    def script(self, name, *arguments, **environment):
        variables = {
            "PATH": f"{self.tools}:/usr/bin:/bin", "AUDYN_TIME_RUN": self.path / "run", "AUDYN_TIME_LIB": LIB,
            "AUDYN_PTP_CONF": self.path / "ptp.conf", "AUDYN_LEASES": self.path / "leases", "AUDYN_SOURCES": self.path / "sources",
            "AUDYN_CHRONY_SOCKET": "/nowhere", "TMPDIR": self.path, **environment,
        }
        return subprocess.run([*self.shell, LIB / name, *arguments], env={k: str(v) for k, v in variables.items()},
                              capture_output=True, text=True, timeout=60)


def saved_time(verdict):
    """A box without a battery starts where chronyd was last: the time of its drift file, which outlives the restart."""
    command = of(UNITS / "audyn-chrony.service", "Service", "ExecStart")[0].split()
    drift = [line.split()[1] for line in (LIB / "chrony.conf").read_text().splitlines() if line.startswith("driftfile ")]
    writable = " ".join(of(UNITS / "audyn-chrony.service", "Service", "ReadWritePaths")).replace("-/", "/").split()
    kept = len(drift) == 1 and str(Path(drift[0]).parent) in writable
    verdict.check("time: chronyd starts from the saved time", "-s" in command and kept, " ".join(command))


def without_chrony(verdict):
    """PTP on a port, and with it the media clock, needs nothing that only a running chronyd makes."""
    for name in ("audyn-ptp4l@.service", "audyn-phc2sys@.service"):
        needs = [path for key in ("BindPaths", "BindReadOnlyPaths", "ReadWritePaths") for value in of(UNITS / name, "Service", key)
                 for path in value.split() if path.startswith("/run/audyn-chrony")]
        verdict.check(f"time: {name} starts without chronyd", not needs, ", ".join(needs))
    kept = of(UNITS / "audyn-chrony.service", "Service", "RuntimeDirectoryPreserve")
    verdict.check("time: chronyd's inputs are the same directory after it has ended", kept == ["yes"], str(kept))


def leap_table(path):
    lines = [line for line in Path(path).read_text().splitlines() if line.strip()]
    return [tuple(map(int, line.split()[:2])) for line in lines if not line.startswith("#")], {line[1]: int(line[2:]) for line in lines if line[:2] in ("#$", "#@")}


def leap_seconds(verdict):
    table, facts = leap_table(LIB / "leap-seconds.list")
    steps = [b[1] - a[1] for a, b in zip(table, table[1:])]
    first_of_month = all((EPOCH + datetime.timedelta(seconds=second)).day == 1 and second % 86400 == 0 for second, _ in table)
    verdict.check("time: the leap seconds are in order", table[0] == (2272060800, 10) and set(steps) == {1} and first_of_month and facts["@"] > facts["$"])
    expires = EPOCH + datetime.timedelta(seconds=facts["@"])
    verdict.note(f"the list is known to hold until {expires:%Y-%m-%d}")
    host = Path("/usr/share/zoneinfo/leap-seconds.list")
    if host.exists():
        theirs, their_facts = leap_table(host)
        # An older list on this machine may lack the newest.
        same = table == theirs if their_facts["$"] >= facts["$"] else table[:len(theirs)] == theirs
        verdict.check("time: they are those of this machine's list", same)
    else:
        verdict.skip("leap seconds against this machine's list", "it has none")


def ptp_config(verdict, box):
    run_dir, wishes = box.path / "run", box.path / "ptp.conf"

    def configured(port, ethtool, text=""):
        wishes.write_text(text)
        box.tool("ethtool", f"cat <<'E'\n{ethtool}E\n")
        done = box.script("ptp-config", port)
        conf = run_dir / f"{port}.conf"
        return done.returncode, conf.read_text() if conf.exists() else None, done.stderr

    def check(what, ok, detail=""):
        verdict.check(f"time: {box.name}: {what}", ok, "" if ok else str(detail))

    code, conf, said = configured("eth0", HARDWARE)
    check("a card with a clock is led, and stamps every packet", code == 0 and "time_stamping hardware" in conf and "hwts_filter full" in conf and "clock_servo pi" in conf, said)
    check("no name is left open", conf is not None and "@" not in "".join(line for line in conf.splitlines() if not line.startswith("#")), conf)
    code, conf, said = configured("eth1", SOFTWARE, "PTP_DOMAIN=5\n")
    check("a card without one tells chrony, in the wished domain", "time_stamping software" in conf and "clock_servo refclock_sock" in conf and "domainNumber 5" in conf, said)
    check("the second port has chrony's second input", "/run/refclock/1.sock" in conf, conf)
    code, conf, _ = configured("eth0", HARDWARE, "PTP_STAMPING=software\n")
    check("a port keeps its input; software stamps when wished", "/run/refclock/0.sock" in conf and "time_stamping software" in conf, conf)
    for text in ("PTP=off\n", "PTP_INTERFACES=eth7 eth8\n"):
        code, conf, said = configured("eth0", HARDWARE, text)
        check(f"{text.strip()}: no PTP here, and that is no failure", code == 0 and conf is None, said)
    for text in ("PTP=maybe\n", "PTP_DOMAIN=128\n", "PTP_DOMAIN=1;reboot\n", "PTP_DOMAIN=0x1\n", "PTP_STAMPING=laser\n"):
        code, conf, said = configured("eth0", HARDWARE, text)
        check(f"{text.strip()} is refused by name", code == 1 and conf is None and text.split("=")[0] in said, said)
    code, conf, said = configured("eth1", SOFTWARE, "PTP_STAMPING=hardware\n")
    check("a clock that isn't there can't be wished for", code == 1 and conf is None and "use auto" in said, said)
    wishes.write_text("PTP=$(touch " + str(box.path / "ran") + ")\n")
    box.script("ptp-config", "eth0")
    check("nothing in the wishes is run", not (box.path / "ran").exists())
    for port in ("eth2", "eth3"):
        configured(port, SOFTWARE)
    code, conf, said = configured("eth4", SOFTWARE)
    check("a fifth port is told why it has none", code == 0 and conf is None and "PTP_INTERFACES" in said, said)


def time_gate(verdict, box):
    run_dir = box.path / "run"
    for n in range(4):
        (run_dir / f"slots/{n}").unlink(missing_ok=True)
    (run_dir / "slots/0").symlink_to("eth0")
    (run_dir / "eth0.conf").write_text("domainNumber 0\ntime_stamping hardware\n")

    def judged(state="SLAVE", scale=1, offset="0.000001", stamping="hardware", chronyc_works=True):
        (run_dir / "eth0.conf").write_text(f"domainNumber 0\ntime_stamping {stamping}\n")
        box.tool("pmc", f"printf '\\t\\tportState               {state}\\n\\t\\tptpTimescale            {scale}\\n'\n")
        box.tool("chronyc", f'case "$*" in *sources*) echo "#,?,NTP1,0,0,377,1,9.9,9.9,0.1"; echo "#,?,PTP0,0,0,377,0,{offset},{offset},0.001" ;; '
                            f'*) echo "$*" >>{box.path}/told; exit {0 if chronyc_works else 1} ;; esac\n')
        # The second look at the world ends it.
        (box.path / "told").write_text("")
        box.tool("sleep", 'kill -TERM "$PPID"\n')
        done = box.script("time-gate")
        return (box.path / "told").read_text(), done.stdout

    def check(what, told_and_said, sign, words):
        told, said = told_and_said
        verdict.check(f"time: {box.name}: {what}", f"selectopts PTP0 {sign}noselect" in told and words in said, "" if words in said else told + said)

    check("a settled clock on PTP's scale is believed", judged(), "-", "is believed")
    check("a grandmaster of an arbitrary scale is not", judged(scale=0), "+", "arbitrary scale")
    check("no grandmaster", judged(state="LISTENING"), "+", "no grandmaster")
    check("a card's clock that is not settled", judged(state="UNCALIBRATED"), "+", "not yet settled")
    check("without a card's clock there is nothing to settle", judged(state="UNCALIBRATED", stamping="software"), "-", "is believed")
    check("a time 72 years ahead is not believed", judged(offset="-2280000000.5"), "+", "72 years after")
    check("a time 56 years back is not believed", judged(offset="1795000000.5"), "+", "days before")
    check("a time 5 years ahead is: this box may have no battery, and has lain in a cupboard", judged(offset="-157800000.5"), "-", "is believed")
    check("what was not measured is not", judged(offset=""), "+", "not been measured")
    _, said = judged(chronyc_works=False)
    verdict.check(f"time: {box.name}: what chrony did not do is not said", said == "", said)


def told_synchronised(verdict, box):
    """time-gate tells the engine what chronyd says of the system clock."""
    told = box.path / "run/told/synchronised"
    told.parent.mkdir(exist_ok=True)

    def after(tracking, works=True):
        told.unlink(missing_ok=True)
        box.tool("chronyc", f"""case $* in *tracking*) printf '%s\\n' '{tracking}'; exit {0 if works else 1} ;; esac\n""")
        box.tool("sleep", 'kill -TERM "$PPID"\n')
        box.script("time-gate")
        return told.read_text() if told.exists() else None

    line = "C0000201,192.0.2.1,3,1768050000.1,0.000001,0.000002,0.000003,1.0,0.0,0.1,0.01,0.001,64.2,{}"
    for leap, wanted in (("Normal", "yes 192.0.2.1\n"), ("Insert second", "yes 192.0.2.1\n"), ("Not synchronised", "no\n"), ("Odd", None)):
        said = after(line.format(leap))
        verdict.check(f"time: {box.name}: chronyd's {leap!r} is told as {wanted!r}", said == wanted, repr(said))
    verdict.check(f"time: {box.name}: a chronyd that does not answer is not spoken for", after("", works=False) is None)


def ntp_sources(verdict, box):
    leases, out = box.path / "leases", box.path / "sources/dhcp.sources"
    box.tool("chronyc", f'echo "$*" >>{box.path}/reloads\n')
    (box.path / "reloads").write_text("")
    (leases / "2").write_text("ADDRESS=192.0.2.9\nNTP=192.0.2.1 2001:db8::7\n")
    (leases / "3").write_text("NTP=192.0.2.1 evil.example;reboot allow 0/0 -x\n")
    box.script("ntp-sources")
    lines = out.read_text().splitlines()
    wanted = ["server 192.0.2.1 iburst trust", "server 2001:db8::7 iburst trust"]
    verdict.check(f"time: {box.name}: NTP servers of the leases, addresses only, each once", lines == wanted, str(lines) if lines != wanted else "")
    box.script("ntp-sources")
    reloads = (box.path / "reloads").read_text().count("reload sources")
    verdict.check(f"time: {box.name}: chrony is told once", reloads == 1, str(reloads))
    for lease in leases.iterdir():
        lease.unlink()
    box.script("ntp-sources")
    verdict.check(f"time: {box.name}: no lease, no server", out.read_text() == "")
