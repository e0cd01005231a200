"""The mains go away at 20 random instants while six recorders run: it boots, the file systems are clean, every file opens.

The disks are those that a cut leaves (lib/writelog.py): all that was flushed, and of the rest what the dice will. One box, cut
again and again: so the traces of earlier cuts must be survived, too. The senders never stop. Of a file that was being written
the header may count what the disk had not got yet, and its size, too; the box mends it at its next start, and from then on it must be
right.
"""

import os
import shutil
import threading
import time

import disk
import writelog
from box import RATE, Flow, Recording

LONGEST = 12.0  # seconds of recording before a cut
AHEAD = 2 * RATE  # frames: files are synced about each second


def run(t):
    t.note(f"seed {t.seed}")
    writelog.prove(t.check, t.work)
    flows = [Flow(10 + number) for number in range(6)]
    box = t.box("box", image=t.images.disk("1.0.0"), log_writes=True, memory=1280)
    box.up_and_well()
    box.record(flows)
    good, seen = set(), set()
    for number in range(1, t.cuts + 1):
        instant = t.dice.uniform(0, LONGEST)
        threading.Event().wait(instant)  # the subject itself: so long it records before the cut
        lost = box.cut(t.dice)
        look_at(t, box, number, instant, lost, flows, good, seen)
        clock = time.monotonic()
        box.start()
        box.up()
        said = box.sh("journalctl -b --no-pager -o cat -u audyn-state -u audyn-recordings -u 'systemd-fsck*' 2>/dev/null | tail -n 3; true").text
        box.wait_recording(flows)
        t.check(f"cut {number}: boots and records again", True, f"{time.monotonic() - clock:.0f} s; {' | '.join(said.strip().splitlines())[-160:]}")
    image = box.wait_health()
    t.check("after all cuts it runs what it ran, and is well", image["version"] == "1.0.0" and image["slot"] == "A" and image["health"] == "good", f"{image}")
    box.power_off()
    for name in ("state", "recordings"):
        code, text = disk.fsck(disk.extract(box.disk, name, box.work / f"{name}.ext4"))
        t.check(f"{name} is clean to e2fsck after the last orderly end", code == 0, text[-200:])
    files(t, box, "after the last orderly end", flows, good, seen, 0)


def look_at(t, box, number, instant, lost, flows, good, seen):
    """The disk as the cut left it: journals replayed as a boot does, then e2fsck, then every file that is new."""
    for name in ("state", "recordings"):
        part = disk.extract(box.disk, name, box.work / f"{name}.ext4")
        # Exit code 1: errors were corrected by -p, which a journal's replay alone is not.
        code, text = disk.fsck(part, repair=True)
        again, after = disk.fsck(part)
        t.check(f"cut {number} ({instant:.1f} s): {name} is clean", code in (0, 1) and again == 0 and "UNEXPECTED" not in text, f"{text[-120:]}; {lost}" if again == 0 else after)
        if name == "state":
            part.unlink()
    files(t, box, f"cut {number}", flows, good, seen, AHEAD)


def files(t, box, when, flows, good, seen, ahead):
    """Every file on the recordings' file system that was not found `good` before; one that is `seen` for the first time may be
    `ahead` with its header."""
    part = box.work / "recordings.ext4"
    folder = box.work / "pulled"
    disk.pull(part, "/", folder)
    bad, opened, most = [], 0, 0
    for path in sorted(folder.rglob("*.wav")):
        flow = next((f for f in flows if f.name in path.parts), None)
        key = (str(path), path.stat().st_size)
        if flow is None or key in good:
            continue
        if ahead and path not in seen:
            os.truncate(path, min(path.stat().st_size, disk.written(part, f"/{path.relative_to(folder)}")))
        recording = Recording(path, flow.stream, ahead=0 if path in seen else ahead)
        seen.add(path)
        opened, most = opened + 1, max(most, recording.ahead)
        if recording.problems:
            bad.append(f"{path.relative_to(folder)}: {'; '.join(recording.problems)}")
            shutil.copy(path, box.place)
        elif recording.ahead == 0:
            good.add(key)
    t.check(f"{when}: every file opens and is what was sent", not bad, "; ".join(bad)[:900] or
            f"{opened} files looked at, the header of one up to {most / RATE:.2f} s ahead of the disk")
    shutil.rmtree(folder)
    part.unlink()
