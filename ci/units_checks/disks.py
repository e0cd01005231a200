"""disks: the recordings partition grows, and nothing else changes."""

import binascii
import re
import shutil
import struct
import subprocess
import uuid
from pathlib import Path

from units_checks.overlay import OVERLAY, UNITS, of

STORAGE = OVERLAY / "usr/lib/audyn-storage"
SRV = "3b8f8425-20e0-4f3b-907f-1a25a76f98e8"
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"
ESP = "c12a7328-f81f-11d2-ba4b-00c04fc93ec9"
MIB = 2048  # sectors
LAYOUT = [("esp", ESP, 64), ("kernel.0", LINUX, 64), ("kernel.1", LINUX, 64), ("rootfs.0", LINUX, 128), ("rootfs.1", LINUX, 128),
          ("state", LINUX, 128), ("recordings", SRV, 64)]


def write_gpt(path, sectors, layout):
    """A disk with these partitions (UEFI 2.10 §5.3), one behind the other from 1 MiB."""
    entries, start = b"", MIB
    for name, kind, size in layout:
        entries += uuid.UUID(kind).bytes_le + uuid.uuid4().bytes_le
        entries += struct.pack("<QQQ", start, start + size * MIB - 1, 0) + name.encode("utf-16-le").ljust(72, b"\0")
        start += size * MIB
    entries = entries.ljust(128 * 128, b"\0")
    disk = uuid.uuid4().bytes_le

    def header(own, other, table):
        fields = struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, own, other, 34, sectors - 34, disk, table, 128, 128,
                             binascii.crc32(entries))
        return (fields[:16] + struct.pack("<I", binascii.crc32(fields)) + fields[20:]).ljust(512, b"\0")

    protective = struct.pack("<BBBBBBBBII", 0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF, 1, min(sectors - 1, 0xFFFFFFFF))
    with open(path, "wb") as out:
        out.write(b"\0" * 446 + protective + b"\0" * 48 + b"\x55\xaa" + header(1, sectors - 1, 2) + entries)
        out.seek((sectors - 33) * 512)
        out.write(entries + header(sectors - 1, 1, sectors - 33))


def read_gpt(path):
    """[(name, type, first sector, sectors, uuid)] and whether the second header is at the end, with its sums right."""
    with open(path, "rb") as disk:
        disk.seek(512)
        head = disk.read(92)
        disk.seek(2 * 512)
        table = disk.read(128 * 128)
        disk.seek(path.stat().st_size - 512)
        last = disk.read(92)
    found = []
    for offset in range(0, len(table), 128):
        kind, own, first, end, _, name = struct.unpack("<16s16sQQQ72s", table[offset:offset + 128])
        if any(kind):
            found.append((name.decode("utf-16-le").rstrip("\0"), str(uuid.UUID(bytes_le=kind)), first, end - first + 1, own))

    def sound(header):
        return header[:8] == b"EFI PART" and struct.unpack("<I", header[16:20])[0] == binascii.crc32(header[:16] + b"\0\0\0\0" + header[20:])

    return found, sound(head) and sound(last)


def repart(image):
    return subprocess.run(
        ["systemd-repart", "--dry-run=no", "--pretty=no", "--discard=no", f"--definitions={STORAGE / 'repart.d'}", image],
        capture_output=True, text=True)


def run(verdict, work):
    if shutil.which("systemd-repart") is None:
        verdict.skip("growing of the recordings partition", "there is no systemd-repart here")
    else:
        grows(verdict, work)
    decides(verdict, work)
    mounts(verdict)
    one_link(verdict)
    own_links(verdict, work)
    initrd_finds(verdict, work)


def grows(verdict, work):
    image = work / "disk.img"
    write_gpt(image, 700 * MIB, LAYOUT)
    before, _ = read_gpt(image)
    with open(image, "r+b") as disk:
        disk.truncate(2048 * MIB * 512)
    done = repart(image)
    after, sound = read_gpt(image)
    verdict.check("disks: systemd-repart takes the definition", done.returncode == 0 and sound, done.stderr[-400:] if done.returncode else "")
    verdict.check("disks: no other partition changed", after[:-1] == before[:-1])
    old, new = before[-1], after[-1]
    grown = new[3] / MIB
    verdict.check("disks: recordings fill the disk, same place, same identity", new[:3] == old[:3] and new[4] == old[4] and 1469 < grown <= 1471, f"{grown:.0f} MiB")
    done = repart(image)
    again, _ = read_gpt(image)
    verdict.check("disks: the next start changes nothing", done.returncode == 0 and again == after)


def decides(verdict, work):
    """prepare, with a /sys and programs of our own: when it grows, and that it always goes on."""
    box = work / "prepare"
    tools = box / "bin"
    tools.mkdir(parents=True)
    for name, code in (("systemd-repart", 0), ("e2fsck", "${E2FSCK:-0}")):
        (tools / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{box}/calls\nexit {code}\n')
        (tools / name).chmod(0o755)

    def prepare(label, size, disk, e2fsck="0"):
        for path, text in (("start", "1000"), ("size", str(size)), ("uevent", f"DEVTYPE=partition\nPARTNAME={label}\n")):
            file = box / "sys/devices/sda/sda7" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + "\n")
        (box / "sys/devices/sda/size").write_text(f"{disk}\n")
        links = box / "sys/class/block"
        links.mkdir(parents=True, exist_ok=True)
        for name, target in (("sda7", "../../devices/sda/sda7"), ("sda", "../../devices/sda")):
            if not (links / name).is_symlink():
                (links / name).symlink_to(target)
        (box / "sda7").touch()
        (box / "calls").write_text("")
        environment = {"PATH": f"{tools}:/usr/bin:/bin", "AUDYN_SYS": str(box / "sys"), "AUDYN_STORAGE": str(STORAGE), "E2FSCK": e2fsck}
        done = subprocess.run(["sh", STORAGE / "prepare", box / "sda7"], env=environment, capture_output=True, text=True)
        return done.returncode, (box / "calls").read_text()

    code, calls = prepare("recordings", 100_000, 10_000_000)
    verdict.check("disks: prepare grows into free room, on the whole disk", code == 0 and "systemd-repart" in calls and "/dev/sda\n" in calls, calls)
    code, calls = prepare("recordings", 100_000, 104_000)
    verdict.check("disks: prepare leaves a full disk alone", code == 0 and "systemd-repart" not in calls, calls)
    code, calls = prepare("recordings-disk", 100_000, 10_000_000)
    verdict.check("disks: prepare leaves a disk of its own alone", code == 0 and "systemd-repart" not in calls, calls)
    code, calls = prepare("recordings", 100_000, 104_000, e2fsck="4")
    verdict.check("disks: what -p can't repair, -y does, and the start goes on", code == 0 and "e2fsck -p" in calls and "e2fsck -y" in calls, calls)


# What is not there before the recordings' disk is, or before it has been checked.
DISK = {"audyn-recordings.service", "audyn-recordings-choose.service", "audyn-recordings-seen.service", "audyn-recordings-prepare.service", "srv-recordings.mount", "dev-audyn-recordings.device"}


def awaited(name):
    """All units that a unit of ours is ordered after, through others of ours."""
    found, todo = set(), [name]
    while todo:
        path = UNITS / todo.pop()
        if path.is_file():
            after = set(" ".join(of(path, "Unit", "After") + of(path, "Unit", "RequiresMountsFor")).split()) - found
            found |= after
            todo += after
    return found


def mounts(verdict):
    options = {}
    for name in ("srv-recordings.mount", "efi.mount", "var.mount"):
        options[name] = ",".join(of(UNITS / name, "Mount", "Options")).split(",")
        missing = [word for word in ("nodev", "nosuid", "noexec") if word not in options[name]]
        verdict.check(f"disks: {name} holds data and nothing else", not missing, ", ".join(missing))
    engine = of(UNITS / "audyn-engine.service", "Unit", "Requires") + of(UNITS / "audyn-engine.service", "Unit", "BindsTo")
    verdict.check("disks: nothing that the engine requires can be missing", not engine, ", ".join(engine))
    # The sandbox lets the engine write there, and a root that is read-only has to bring what disks are mounted on.
    writes = " ".join(of(UNITS / "audyn-engine.service", "Service", "ReadWritePaths")).split()
    places = sorted(word.removeprefix("-/") for word in writes if word.startswith("-/srv/"))
    makers = [OVERLAY.parent / name for name in ("buildroot-external/post-build", "scripts/image.d/lab-root")]
    lacks = [f"{maker.name}: {place}" for maker in makers for place in places if not re.search(rf"mkdir -p .*\b{place}\b|for directory in .*\b{place}\b", maker.read_text())]
    verdict.check("disks: the engine may write to recordings and a mirror, and each image has both mount points",
                  places == ["srv/mirror", "srv/recordings"] and not lacks, f"{places} {lacks}")
    # Neither is anything of the disk waited for: its check may take hours, in which the engine meters and other disks record.
    waits = {name: awaited(name) for name in ("audyn-engine.service", "audyn-webd.service", "audyn-webd.socket")}
    slow = [f"{name}: {', '.join(sorted(found & DISK))}" for name, found in waits.items() if found & DISK]
    verdict.check("disks: the engine and the page wait for nothing of the recordings' disk", not slow, "; ".join(slow))
    last = [value for value in of(UNITS / "audyn-recordings.service", "Service", "ExecStop") if "systemctl stop audyn-engine.service" in value]
    verdict.check("disks: and yet the disk stays until the engine has ended", len(last) == 1 and "!= stopping" in last[0], str(last))
    asked = " ".join(value for path in (UNITS / "audyn-state.service", *UNITS.glob("audyn-state.service.d/*.conf"))
                     for key in ("Wants", "Requires", "RequiresMountsFor") for value in of(path, "Unit", key)).split()
    verdict.check("disks: audyn-state asks for the /var that it binds into", {"var.mount", "/var"} & set(asked), " ".join(asked))
    table = [line for line in (OVERLAY / "etc/fstab").read_text().splitlines() if line.strip() and not line.startswith("#")]
    verdict.check("disks: fstab says nothing beside the units", not table, "; ".join(table))
    genimage = OVERLAY.parent / "board/common/genimage.cfg.in"
    if genimage.exists():
        verdict.check("disks: the image gives the recordings the type that repart looks for", SRV in genimage.read_text())


def choices(rules):
    """{label: the condition} of the rules that make /dev/audyn/recordings; a rule without a label has the one of the last GOTO."""
    found, label = {}, None
    for line in rules.splitlines():
        named = re.search(r'ENV\{ID_PART_ENTRY_NAME\}(==|!=)"([^"]+)"', line)
        if named and not line.startswith("#"):
            label = named[2]
        if 'SYMLINK+="audyn/recordings"' in line and not line.startswith("#"):
            test = re.search(r'TEST=="/run/audyn-storage/([^"]+)"', line)
            found[label] = test[1] if test and "link_priority" not in line else None
    return found


def one_link(verdict):
    """The mount hangs on a link that only the partition that was chosen for this boot can have, and that is made after the choice."""
    rules = (OVERLAY / "usr/lib/udev/rules.d/70-audyn-recordings.rules").read_text()
    expected = {"recordings": "recordings-$env{ID_PART_ENTRY_DISK}", "recordings-disk": "recordings-disk-$env{ID_PART_ENTRY_UUID}"}
    verdict.check("disks: udev makes the recordings' link for the chosen partition only", choices(rules) == expected, str(choices(rules)))
    script = (OVERLAY / "usr/lib/audyn/recordings").read_text()
    verdict.check("disks: and the script that chooses writes those names", "CHOSEN=$R/run/audyn-storage\n" in script
                  and 'take "recordings-$_number"' in script and 'take "recordings-disk-$_uuid"' in script)
    verdict.check("disks: a link that a disk takes from another by priority is seen",
                  choices('ENV{ID_PART_ENTRY_NAME}=="recordings", SYMLINK+="audyn/recordings", OPTIONS+="link_priority=0"\n') == {"recordings": None})
    what = of(UNITS / "srv-recordings.mount", "Mount", "What")
    verdict.check("disks: that link is what is mounted", what == ["/dev/audyn/recordings"], str(what))
    waits = " ".join(of(UNITS / "dev-audyn-recordings.device.d/10-audyn.conf", "Unit", "After"))
    chooses = " ".join(of(UNITS / "audyn-recordings.service", "Unit", "Wants")).split()
    verdict.check("disks: it is waited for after the choice, which somebody asks for", waits == "audyn-recordings-choose.service" and waits in chooses, f"{waits}; {chooses}")


def links(rules, name, label, block):
    """The links below /dev/audyn that the rules give to the partition NAME of this label; BLOCK is what they see as /sys/class/block."""
    env = {"ACTION": "add", "SUBSYSTEM": "block", "ENV{DEVTYPE}": "partition", "ENV{ID_PART_ENTRY_SCHEME}": "gpt", "ENV{ID_PART_ENTRY_NAME}": label}
    found, goto = [], None
    for line in rules.splitlines():
        words = re.findall(r'([A-Z]+(?:\{\w+\})?)(==|!=|\+=|=)"([^"]*)"', line)
        if not words or line.startswith("#") or (goto and ("LABEL", "=", goto) not in words):
            continue
        goto = None
        for key, how, value in words:
            value = value.replace("$kernel", name).replace("$env{ID_PART_ENTRY_NAME}", label)
            if key == "TEST":
                # As udev does it: `*` is any entry of that directory.
                head, _, tail = value.replace("/sys/class/block", str(block)).partition("/*/")
                met = any((entry / tail).exists() for entry in Path(head).iterdir()) if tail else Path(head).exists()
            elif how in ("==", "!="):
                met = (env[key] in value.split("|")) == (how == "==")
            else:
                met = True
                found += [value] if key == "SYMLINK" else []
                goto = value if key == "GOTO" else goto
            if not met:
                break
    return found


def own_links(verdict, work):
    """/dev/audyn/esp and its like are those of the disk that the root is read from; the units and RAUC take no others."""
    rules = (OVERLAY / "usr/lib/udev/rules.d/70-audyn-own.rules").read_text()
    block = work / "own/class/block"
    (block / "dm-0/slaves").mkdir(parents=True)
    for disk in ("sda", "nvme0n1"):
        for number, (label, *_) in enumerate(LAYOUT, 1):
            part = work / "own/devices" / disk / (f"{disk}p{number}" if disk[-1].isdigit() else f"{disk}{number}")
            part.mkdir(parents=True)
            (block / part.name).symlink_to(part)
    (block / "dm-0/slaves/nvme0n1p5").symlink_to("../../../../devices/nvme0n1/nvme0n1p5")
    own = {label: links(rules, f"nvme0n1p{number}", label, block) for number, (label, *_) in enumerate(LAYOUT, 1)}
    wanted = {label: [] if label == "recordings" else [f"audyn/{label}"] for label, *_ in LAYOUT}
    verdict.check("disks: each partition of the root's disk has its link, but the recordings", own == wanted, str(own))
    other = [found for number, (label, *_) in enumerate(LAYOUT, 1) for found in links(rules, f"sda{number}", label, block)]
    verdict.check("disks: a second disk with Audyn has none of them", not other, str(other))
    verdict.check("disks: a rule that looks at names only is seen", bool(links(re.sub(r'TEST=="[^"]*", ', "", rules), "sda1", "esp", block)))
    used = {"efi.mount": of(UNITS / "efi.mount", "Mount", "What") == ["/dev/audyn/esp"],
            "audyn-state.service": of(UNITS / "audyn-state.service", "Unit", "Wants") == ["dev-audyn-state.device"],
            "RAUC": re.findall(r"^device=(.*)", (OVERLAY.parent / "board/common/rauc/system.conf.in").read_text(), re.M)
            == [f"/dev/audyn/{kind}.{number}" for number in (0, 1) for kind in ("rootfs", "kernel")]}
    verdict.check("disks: and these links are what is mounted and installed to", all(used.values()), str(used))
    here = [OVERLAY, OVERLAY.parent / "board"]
    by_name = [str(path) for root in here for path in sorted(root.rglob("*")) if path.is_file() and path.suffix != ".md" and b"by-partlabel" in path.read_bytes()]
    verdict.check("disks: nothing on the box takes a disk by a partition's name", not by_name, ", ".join(by_name))


def initrd_finds(verdict, work):
    """The lab's initrd finds its root by UUID, as the kernel does on the boards; by the second copy of the table if the first is gone."""
    busybox = shutil.which("busybox")
    if not busybox:
        verdict.skip("disks: the initrd's search by UUID", "there is no busybox here")
        return
    root = work / "initrd"
    block = root / "block"
    block.mkdir(parents=True)
    wanted = None
    for disk in ("vda", "vdb"):
        write_gpt(root / disk, 700 * MIB, LAYOUT)
        (root / "devices" / disk / "queue").mkdir(parents=True)
        (root / "devices" / disk / "queue/logical_block_size").write_text("512\n")
        (root / "devices" / disk / "size").write_text(f"{700 * MIB}\n")
        (block / disk).symlink_to(root / "devices" / disk)
        for number in range(1, len(LAYOUT) + 1):
            (root / "devices" / disk / f"{disk}{number}").mkdir()
            (root / "devices" / disk / f"{disk}{number}/partition").write_text(f"{number}\n")
            (block / f"{disk}{number}").symlink_to(root / "devices" / disk / f"{disk}{number}")
        wanted = uuid.UUID(bytes_le=read_gpt(root / disk)[0][4][4])
    script = (OVERLAY.parent / "board/lab/init").read_text()
    functions = script[script.index("guid_at() {"):script.index("device_of() {")].replace("/sys/class/block", str(block)).replace("/dev/", f"{root}/")
    functions = re.sub(r"\bbusybox ", f"{busybox} ", functions)

    def find(what):
        return subprocess.run([busybox, "sh", "-c", f"{functions}\nby_partuuid {what}"], capture_output=True, text=True, check=False).stdout.strip()

    verdict.check("disks: the lab's initrd finds a partition by its UUID", find(wanted) == f"{root}/vdb5", find(wanted))
    verdict.check("disks: and none that isn't there", find(uuid.UUID(int=1)) == "")
    with open(root / "vdb", "r+b") as disk:
        disk.write(bytes(34 * 512))
    verdict.check("disks: with the first table gone, by its copy", find(wanted) == f"{root}/vdb5", find(wanted))
