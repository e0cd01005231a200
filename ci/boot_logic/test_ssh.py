"""SSH keys that a person puts on the EFI partition: judged, taken over, said; and whatever is cut, none twice and none lost."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from .box import HASH

START = "systemctl --no-block start audyn-sshd.service"


def make_keys():
    """Public keys of several kinds, by ssh-keygen itself."""
    keys = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, kind in (("ed", ["ed25519"]), ("ed2", ["ed25519"]), ("ec", ["ecdsa"]), ("rsa", ["rsa", "-b", "2048"]), ("short", ["rsa", "-b", "1024"])):
            file = Path(scratch) / name
            subprocess.run(["ssh-keygen", "-q", "-t", *kind, "-N", "", "-C", f"{name}@desk", "-f", file], check=True, capture_output=True)
            keys[name] = file.with_suffix(".pub").read_text().strip()
        keys["many"] = []
        for number in range(6):
            file = Path(scratch) / f"many{number}"
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "desk " + "x" * 300, "-f", file], check=True, capture_output=True)
            keys["many"].append(file.with_suffix(".pub").read_text().strip())
    return keys


def fingerprint(key):
    return subprocess.run(["ssh-keygen", "-l", "-f", "-"], input=key, check=True, capture_output=True, text=True).stdout.split()[1]


def asked(box, text, name="authorized_keys"):
    (box.root / "efi/audyn" / name).write_bytes(text if isinstance(text, bytes) else text.encode())


def left(box):
    return sorted(path.name for path in (box.root / "efi/audyn").iterdir() if "keys" in path.name)


def has(box):
    path = box.root / "var/lib/audyn/system/ssh/authorized_keys"
    return path.read_text().splitlines() if path.exists() else []


def boot(box, slot="A", version="1", cut=None, **more):
    """As the units do: state, early, ssh-key under its conditions, the report."""
    box.boot(slot, version, run=False, **more)
    box.script("boot-report", "early")
    conditions = [box.root / "run/audyn/boot/ssh-request", box.root / "var/lib/audyn/system/ssh/at-start"]
    ran = any(path.exists() for path in conditions)
    result = box.script("ssh-key", "start", cut=cut) if ran else None
    if not cut:
        box.script("boot-report", "start")
    return result


def good(make):
    box = make()
    boot(box)
    assert box.health().returncode == 0
    return box


def taken(make, check, keys):
    box = good(make)
    check("ssh: nothing on the EFI partition: nothing runs", boot(box) is None and START not in box.log() and not has(box))
    for name, text in (("authorized_keys", f"{keys['ed']}\n"), ("authorized_keys.txt", b"\xef\xbb\xbf# ours\r\n\r\n" + keys["ed"].encode() + b"\r\n" + keys["rsa"].encode())):
        box = good(make)
        asked(box, text, name)
        boot(box)
        wanted = [keys["ed"]] + ([keys["rsa"]] if b"rsa" in (text if isinstance(text, bytes) else b"") else [])
        check(f"ssh: {name}: taken over, removed, SSH is started", has(box) == wanted and not left(box) and START in box.log(), f"{has(box)} {left(box)}")
        ssh = box.root / "var/lib/audyn/system/ssh"
        check("ssh: in a form that sshd believes", ssh.stat().st_mode & 0o777 == 0o700 and (ssh / "authorized_keys").stat().st_mode & 0o777 == 0o600)
        check("ssh: an alarm says it, and which key", "may log in" in box.alarms() and all(fingerprint(key) in box.alarms() for key in wanted)
              and "desk" not in box.alarms() and f"{len(wanted)} SSH key" in box.alarms() and "stage=ssh-key" in box.boot_file("log"), box.alarms())
        boot(box)
        check("ssh: the next start has the key, and SSH off", has(box) == wanted and START not in box.log() and box.alarms() == "", box.alarms())
    asked(box, f"{keys['ec']}\n{keys['ed']}\n")
    boot(box)
    check("ssh: further ones are added, none is there twice", has(box) == [*wanted, keys["ec"]], str(has(box)))
    ssh = box.root / "var/lib/audyn/system/ssh"
    (ssh / "authorized_keys").write_text(f'command="x" {keys["ed"]}\n# {keys["ec"]}')
    asked(box, f"{keys['ec']}\n{keys['ed']}\n")
    boot(box)
    check("ssh: one with options keeps them, one that was commented out comes back", has(box) == [f'command="x" {keys["ed"]}', f"# {keys['ec']}", keys["ec"]], str(has(box)))
    (ssh / "at-start").write_text("")
    boot(box)
    check("ssh: at-start: on at each start, and no alarm", START in box.log() and box.alarms() == "", box.alarms())
    (ssh / "authorized_keys").unlink()
    boot(box)
    check("ssh: never without a key", START not in box.log())


def several(make, check, keys):
    box = good(make)
    asked(box, "".join(f"{key}\n" for key in keys["many"][:5]))
    boot(box)
    check("ssh: as many as are allowed: the alarm shows each of them, whatever their comments are",
          len(has(box)) == 5 and all(fingerprint(key) in box.alarms() for key in keys["many"][:5]), box.alarms())
    for bad in ("authorized_keys", "authorized_keys.txt"):
        box = good(make)
        asked(box, "junk\n", bad)
        asked(box, keys["ed"], next(name for name in ("authorized_keys", "authorized_keys.txt") if name != bad))
        boot(box)
        check(f"ssh: two files, {bad} is none: neither is taken over, and the alarm names the bad one",
              not has(box) and START not in box.log() and f"line 1 of {bad} is" in box.alarms() and len(left(box)) == 2, box.alarms())
    box = good(make)
    asked(box, keys["ed"] + "\n" + keys["ed"] + " again\n")
    asked(box, keys["ec"], "authorized_keys.txt")
    boot(box)
    check("ssh: two good files are taken over together, a key that is there twice once",
          has(box) == [keys["ed"], keys["ec"]] and not left(box) and all(fingerprint(keys[key]) in box.alarms() for key in ("ed", "ec")), str(has(box)))
    box = good(make)
    asked(box, f"{keys['ed']}\r{keys['ec']}\r")
    boot(box)
    check("ssh: carriage returns alone end lines, too", has(box) == [keys["ed"], keys["ec"]], str(has(box)))


def refused(make, check, keys):
    kind, blob, _ = keys["ed"].split()
    for what, text in (
        ("options before a key", f'command="reboot" {keys["ed"]}\n'), ("options with commas", f"no-pty,permitopen=\"x:1\" {keys['ed']}\n"),
        ("an authority instead of a key", f"cert-authority {keys['ed']}\n"), ("a short RSA key", keys["short"]), ("half a key", f"{kind} {blob[:50]}\n"),
        ("a key of another type than it says", f"ssh-rsa {blob}\n"), ("a private key", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n"),
        ("one good line and one bad", f"{keys['ec']}\nhello\n"), ("nothing", "\n# nobody\n"), ("too much", f"{keys['ed']}\n" + "#" * 17000),
        ("too many", "".join(f"{key}\n" for key in keys["many"])), ("a shell's words", f"{kind} $(touch${{IFS}}x) x\n"), ("zeros", bytes(4096)),
    ):
        box = good(make)
        asked(box, text)
        boot(box)
        check(f"ssh: {what}: none of it, SSH stays off, and an alarm says why", not has(box) and START not in box.log() and "were not taken over" in box.alarms()
              and left(box) == ["authorized_keys"], f"{has(box)} {box.alarms()}")
    for name, other in (("authorized_keys", "authorized_keys.txt"), ("authorized_keys.txt", "authorized_keys")):
        box = good(make)
        (box.root / "efi/audyn" / name).mkdir()
        boot(box)
        check(f"ssh: a folder called {name}: SSH stays off, and an alarm says why", START not in box.log() and f"{name} is a folder, and should be a file" in box.alarms(),
              box.alarms())
        asked(box, keys["ed"], other)
        boot(box)
        check(f"ssh: beside it a good {other}: not taken over, as beside any other that is bad", not has(box) and START not in box.log() and len(left(box)) == 2, box.alarms())
        (box.root / "efi/audyn" / name).rmdir()
    asked(box, keys["ed"])
    boot(box)
    check("ssh: mended, it is taken over", has(box) == [keys["ed"]] and not left(box))


def cuts(make, check, keys):
    for cut in ("2", "3"):
        box = good(make)
        asked(box, keys["ed"])
        boot(box, cut=cut)
        there = left(box)
        boot(box)
        check(f"ssh: power cut after {cut}: the key is there once, the file is gone", has(box) == [keys["ed"]] and not left(box) and there == (["authorized_keys"] if cut == "2" else []))
        check(f"ssh: power cut after {cut}: asked and not answered is asked again", (START in box.log()) == (cut == "2"))

    box = good(make)
    box.flag("no-mount")
    asked(box, keys["ed"])
    boot(box)
    check("ssh: settings in memory: SSH is on all the same, and the file stays for the next start", has(box) == [keys["ed"]] and START in box.log()
          and left(box) == ["authorized_keys"] and "the file stays" in box.alarms(), box.alarms())
    box.unflag("no-mount")
    boot(box)
    check("ssh: which keeps it", has(box) == [keys["ed"]] and not left(box))

    box = make()
    asked(box, keys["ed"])
    boot(box)
    check("ssh: a new box, on trial without a version to go back to: kept at once", has(box) == [keys["ed"]] and not left(box), box.alarms())

    box = good(make)
    box.set_env(A_GOOD=HASH["1"], B_OK=1, ORDER="B A")
    asked(box, keys["ed"])
    boot(box, "B", "2")
    on = START in box.log()
    boot(box, "A", "1")
    check("ssh: on trial with one: should that fail, the key comes along", on and has(box) == [keys["ed"]] and not left(box), str(has(box)))


def run(make, check, skip):
    if not shutil.which("ssh-keygen"):
        skip("SSH keys from the EFI partition", "there is no ssh-keygen here")
        return
    keys = make_keys()
    taken(make, check, keys)
    several(make, check, keys)
    refused(make, check, keys)
    cuts(make, check, keys)
