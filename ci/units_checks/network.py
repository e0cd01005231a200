"""network: what comes in, and what listens."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from units_checks.overlay import OVERLAY, UNITS, of, programs, units

RULES = OVERLAY / "usr/lib/audyn-net/firewall.nft"
ALLOW = OVERLAY / "usr/lib/audyn-net/listening.allow"

# What the neighbour must not get in with; everything else that the probe tries must get in.
KEPT_OUT = {
    "SAP", "mDNS", "multicast below 1024", "unicast 6000", "unicast 6000, IPv6", "to port 68 from elsewhere", "NTP as if to a server",
    "TCP 80", "TCP 443", "TCP 22", "TCP 22 when SSH is off again",
}


def in_namespace(*command):
    mode = [] if os.geteuid() == 0 else ["--map-root-user"]
    return subprocess.run(["unshare", *mode, "--net", *command], capture_output=True, text=True)


def run(verdict, work):
    nft = shutil.which("nft", path=f"{os.environ['PATH']}:/usr/sbin")
    possible = in_namespace("true").returncode == 0 and in_namespace(nft, "list", "ruleset").returncode == 0
    if not possible:
        verdict.skip("the firewall's rules", "no network namespaces, or no nf_tables in this kernel; run it as root on another one")
    else:
        firewall(verdict, work, nft)
        reloaded(verdict, work, nft)
    listening(verdict)


def reloaded(verdict, work, nft):
    """What audyn-sshd leaves in its directory while it runs is in the list whenever the list is loaded; and only then."""
    ssh = UNITS / "audyn-sshd.service"
    linked = [Path(value.split()[2]) for value in of(ssh, "Service", "ExecStartPre") if value.startswith("/bin/ln -s")]
    directory = "/run/" + "".join(of(ssh, "Service", "RuntimeDirectory"))
    here = work / "run-audyn-sshd"
    rules = work / "reloaded.nft"
    rules.write_text(RULES.read_text().replace(f'"{directory}/', f'"{here}/'))

    def loaded():
        done = in_namespace("sh", "-c", f"{nft} -f {rules} && {nft} -f {rules} && {nft} list set inet audyn tcp_open")
        return done.returncode == 0 and re.search(r"elements = \{ 22 \}", done.stdout) is not None, done.stderr[-300:]

    before, said = loaded()
    here.mkdir()
    for path in linked:
        (here / path.name).symlink_to(OVERLAY / str(path).lstrip("/"))
    during, more = loaded()
    verdict.check("network: a reload of the firewall leaves SSH open while it is on, and closed while it is off", not before and during and not said, said + more)


def firewall(verdict, work, nft):
    done = in_namespace(nft, "-c", "-f", RULES)
    verdict.check("network: nft -c takes the rules", done.returncode == 0, done.stderr[-600:])
    broken = work / "broken.nft"
    broken.write_text(RULES.read_text().replace("iif lo accept", "iif lo acept"))
    verdict.check("network: nft -c refuses a slip of the pen", in_namespace(nft, "-c", "-f", broken).returncode != 0)
    probe = Path(__file__).with_name("firewall_probe.py")
    done = in_namespace(sys.executable, probe, RULES)
    if done.returncode != 0:
        verdict.check("network: the rules, tried with packets", False, (done.stdout + done.stderr)[-800:])
        return
    for what, got_in in json.loads(done.stdout).items():
        verdict.check(f"network: {what} {'is kept out' if what in KEPT_OUT else 'comes in'}", got_in != (what in KEPT_OUT))
    # The probe can see a hole: the same without the policy.
    broken.write_text(RULES.read_text().replace("hook input priority filter; policy drop;", "hook input priority filter; policy accept;"))
    done = in_namespace(sys.executable, probe, broken)
    holes = json.loads(done.stdout) if done.returncode == 0 else {}
    verdict.check("network: without the policy the probe sees the holes", holes.get("TCP 80") and holes.get("unicast 6000"))


def allowed(text):
    """[(protocol, address, port, {programs}, always)] of listening.allow; ValueError names what can't be read."""
    lines = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        protocol, address, port, names, when, reason = line.split(None, 5)
        if protocol not in ("tcp", "udp") or when not in ("always", "may") or not reason or not port.isdigit():
            raise ValueError(line)
        lines.append((protocol, address, int(port), set(names.split("|")), when == "always"))
    return lines


def judge(lines, sockets, started):
    """What is wrong with the list: TCP on it that no socket unit opens or the other way round, TCP beyond loopback, strangers."""
    found = []
    listed = {f"{address}:{port}" for protocol, address, port, _, _ in lines if protocol == "tcp"}
    found += [f"{address} is listed, but no unit opens it" for address in sorted(listed - sockets)]
    found += [f"{address} is opened, but not listed" for address in sorted(sockets - listed)]
    found += [f"{address} is not loopback" for address in sorted(listed) if not re.match(r"127\.|\[::1\]", address)]
    for *_, names, _ in lines:
        found += [f"nobody starts {name}" for name in names if name not in started and not name.startswith("systemd")]
    return found


def listening(verdict):
    sockets = {value for path in units().values() for value in of(path, "Socket", "ListenStream") if not value.startswith("/")}
    started = {Path(program).name for program in programs()}
    lines = allowed(ALLOW.read_text())
    found = judge(lines, sockets, started)
    verdict.check(f"network: listening.allow ({len(lines)} lines) agrees with the units", not found, "; ".join(found))
    strange = [("tcp", "0.0.0.0", 8080, {"audyn-webd"}, True), ("udp", "any", 53, {"named"}, False)]
    verdict.check("network: a line too many and a line too few are found", len(judge(lines + strange, sockets, started)) == 3 and judge(lines[1:], sockets, started))

    links = OVERLAY / "usr/lib/systemd/network/80-audyn-ethernet.network"
    quiet = {("Network", "LLMNR"): "no", ("Network", "MulticastDNS"): "no", ("Link", "RequiredForOnline"): "no"}
    wrong = [f"{key}=" for (section, key), value in quiet.items() if of(links, section, key) != [value]]
    resolved = OVERLAY / "usr/lib/systemd/resolved.conf.d/10-audyn.conf"
    wrong += [f"{key}=" for key in ("DNSStubListener", "LLMNR", "MulticastDNS") if of(resolved, "Resolve", key) != ["no"]]
    verdict.check("network: networkd and resolved listen for nobody, and nothing waits for the network", not wrong, ", ".join(wrong))
