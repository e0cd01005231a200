"""Factory-fresh: what listens is what the list allows; two boxes of one image share no secret; nobody can log in from outside."""

import ipaddress
import re

import network
from report import Failed

ALLOWED = "/usr/lib/audyn-net/listening.allow"  # which says what its columns are


def run(t):
    image = t.images.disk("1.0.0")
    boxes = [t.box(name, image=image, memory=768) for name in ("left", "right")]
    for box in boxes:
        box.start()
    for box in boxes:
        box.up()
        box.wait_health()
    listening(t, boxes[0])
    strangers(t, boxes[0])
    logins(t, boxes[0])
    nothing_shared(t, *boxes)


def listening(t, box):
    """`ss -lntup` against the list, both ways round."""
    allowed = [line.split(None, 5) for line in box.sh(f"cat {ALLOWED}").text.splitlines() if line.strip() and not line.startswith("#")]
    found = sockets(box.sh("ss -H -lntup").text)
    strange = [said for said, socket in found.items() if not any(matches(line, *socket) for line in allowed)]
    t.check("what listens is what listening.allow allows", not strange,
            "; ".join(f"{said} is not on the list" for said in strange) or ", ".join(found) or "nothing listens")
    missing = [" ".join(line[:4]) for line in allowed if line[4] == "always" and not any(matches(line, *socket) for socket in found.values())]
    t.check("what listening.allow says always listens does", not missing, "; ".join(missing))


def sockets(text):
    """What `ss` says, as {what to call it: (protocol, address, port, {programs that hold it})}."""
    found = {}
    for line in text.splitlines():
        fields = line.split()
        address, _, port = re.sub(r"%[^:\]]+", "", fields[4]).rpartition(":")
        programs = set(re.findall(r'\("([^"]+)",pid=', line))
        found[f"{fields[0]} {fields[4]} ({', '.join(sorted(programs)) or 'nobody'})"] = (fields[0], address, port, programs)
    return found


def matches(line, protocol, address, port, programs):
    """Whether a line of the list allows a socket."""
    wanted, there = line[1], ipaddress.ip_address("::" if address == "*" else address.strip("[]"))
    if wanted == "any":
        fits = there.is_unspecified
    elif wanted == "own":
        fits = not (there.is_unspecified or there.is_loopback or there.is_multicast)
    else:
        fits = address == wanted
    return fits and (protocol, port) == (line[0], line[2]) and bool(programs) and programs <= set(line[3].split("|"))


def strangers(t, box):
    """From the audio network, as somebody who has the box's address."""
    found, refused = network.open_tcp_ports(box.lan, box.tap, box.address)
    t.check("a scan of all TCP ports from the audio network finds none open", not found, f"open: {found}; {refused} answered that they are closed")


def logins(t, box):
    shadow = box.sh("cat /etc/shadow").text.splitlines()
    usable = [line.split(":")[0] for line in shadow if line.split(":")[1][:1] not in ("!", "*")]
    t.check("no account has a password, and none an empty one", not usable, f"usable: {usable}" if usable else f"{len(shadow)} accounts, all locked")
    ssh = box.sh("systemctl is-active ssh.service ssh.socket sshd.service sshd.socket; true").text.split()
    t.check("no SSH server runs", "active" not in ssh, " ".join(ssh))
    keys = box.sh("find / -xdev \\( -name authorized_keys -o -name 'ssh_host_*_key' \\) 2>/dev/null; ls /state/ssh 2>/dev/null; true").text.split()
    t.check("no SSH key of host or user is in the image", not keys, " ".join(keys))
    secret = box.sh("grep -rIl --exclude-dir=proc --exclude-dir=sys -e 'PRIVATE KEY-----' /etc /usr/lib /usr/share /var /state 2>/dev/null; true", 300).text.split()
    # With it the engine signs what its chains hold; each box makes its own at its first start, and `nothing_shared` compares them.
    secret = [path for path in secret if not path.endswith("/engine/head-key.pem")]
    t.check("no private key is in the image", not secret, " ".join(secret))
    shells = box.sh("""awk -F: '$3 >= 1000 && $1 != "nobody" { print $1 }' /etc/passwd""").text.split()
    t.check("there are no accounts of persons", not shells, " ".join(shells))


def nothing_shared(t, left, right):
    """Everything that a box made for itself, compared by content."""
    ids = [box.sh("cat /etc/machine-id").text.strip() for box in (left, right)]
    t.check("their machine ids differ, and are there", ids[0] != ids[1] and all(re.fullmatch(r"[0-9a-f]{32}", i) for i in ids), " ".join(ids))
    contents = []
    for box in (left, right):
        text = box.sh("find /state /var/lib /var/log -xdev -type f -size +0 2>/dev/null | sort -u | while read -r f; do "
                      "sha256sum \"$f\"; done; find /state -type f -size +0 | while read -r f; do sha256sum \"$f\"; done", 300).text
        contents.append({line.split(None, 1)[1]: line.split()[0] for line in text.splitlines() if len(line.split(None, 1)) == 2})
    same = sorted(path for path, digest in contents[0].items() if contents[1].get(path) == digest)
    # Settings of the factory are the same by intent; what could be a secret is not.
    secrets = [path for path in same if re.search(r"seed|secret|key|credential|cookie|token|machine-id|shadow", path, re.I)]
    t.check("no secret on their state partitions is the same", not secrets, " ".join(secrets) or f"the same in both: {' '.join(same) or 'nothing'}")
    seeds = [{p: d for p, d in c.items() if re.search(r"random-seed|credential\.secret|_key", p)} for c in contents]
    t.note(f"made by each for itself: {' '.join(sorted(seeds[0])) or 'nothing yet'}")
    if not contents[0]:
        raise Failed("the state of the box could not be listed")
