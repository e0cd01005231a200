"""Power on, record a flow, fetch it through the page; the capture thread's place; a root that can't be written or altered."""

import re

import disk
from box import RATE, Flow, problems_of
from report import Failed

SPARE = "/usr/share/zoneinfo/Antarctica/Troll"  # of the root, and nothing reads it


def run(t):
    box = t.box("box", image=t.images.disk("1.0.0"))
    first_boot(t, box, "lab-x86_64")
    fresh = box.wait_health()
    t.check("a fresh image passes its own health check", fresh["health"] == "good" and not fresh["alarms"], f"{fresh}")
    flow = Flow(0)
    box.record([flow], frames=10 * RATE)
    through_the_page(t, box, flow)
    capture_thread(t, box)
    root_is_read_only(t, box)
    byte_flipped(t, box)
    banner = " ".join(box.sh("cat /etc/issue /run/issue.d/* 2>/dev/null; true").text.split())
    t.check("it says on the console which version runs, and that it is a lab image", "1.0.0" in banner and "lab" in banner, banner)


def first_boot(t, box, board):
    box.start()
    t.note(f"power on to root shell: {box.up():.0f} s (TCG)")
    image = box.image()
    t.check("it says what it is", image.get("board") == board and image.get("version") == "1.0.0" and image.get("slot") == "A", f"{image}")


def through_the_page(t, box, flow):
    box.tunnel()
    status, headers, body = box.http("GET", "/")
    t.check("the page is there", status == 200 and b"<div id=\"app\"" in body, f"{status}, {headers.get('content-type')}, {len(body)} bytes")
    control = box.get_json("/api/control/status")
    t.check("GET /api/control/status", control["connected"] and control["recording"] == 1, f"recording {control.get('recording')}, engine {control['engine'].get('version')}")
    image = box.get_json("/api/system/image")
    t.check("GET /api/system/image", image.get("version") == "1.0.0" and image.get("slot") == "A", f"{image}")
    recorder = box.get_json(f"/api/recorders/{flow.name}")
    t.check("GET /api/recorders/…", recorder["state"] == "recording" and recorder["flow_state"] == "receiving",
            f"{recorder['state']}, {recorder['flow_state']}, {recorder['frames_written']} frames, {recorder['frames_filled']} filled")
    box.get_json(f"/api/recorders/{flow.name}/stop", "POST")
    recordings = box.recordings(flow)
    # One of an hour; a full hour in the midst of the test begins another.
    t.check("the page lists one recording", bool(recordings) and len({r.hour() for r in recordings}) == len(recordings),
            ", ".join(f"{r.path.name} {r.frames / RATE:.1f} s" for r in recordings))
    problems = problems_of(recordings)
    problems += [f"{b.path.name} begins {a.gap_to(b)} frames late" for a, b in zip(recordings, recordings[1:]) if a.gap_to(b)]
    t.check("the file, fetched through the page, equals what was sent in every bit", not problems, "; ".join(problems) or
            f"{sum(r.frames for r in recordings)} frames, {sum(r.lost for r in recordings)} of them lost on the way and named in the ledger")
    truth, first = box.senders[0].stop(), recordings[0]
    t.check("the sender's truth", bool(truth) and first.position is not None and
            first.position + first.frames <= frames_sent(truth), f"the file is frames {first.position} to "
            f"{(first.position or 0) + first.frames} of {frames_sent(truth)} sent")


def frames_sent(truth):
    if not truth:
        return 0
    return truth.get("frames") or truth.get("packets", 0) * 192


def capture_thread(t, box):
    isolated = box.sh("cat /sys/devices/system/cpu/isolated").text.strip()
    t.check("a CPU is isolated", bool(isolated), isolated or "none")
    threads = box.sh("""for d in /proc/$(systemctl show -P MainPID audyn-engine)/task/*; do
s=$(cat $d/stat); s=${s##*) }; set -- $s
echo "$(cat $d/comm | tr ' ' _) policy=${39} priority=${38} last=${37} allowed=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' $d/status)"
done""").text.strip().splitlines()
    fifo = [line for line in threads if "policy=1 " in line]
    t.check("the capture thread runs at SCHED_FIFO on the isolated CPU", len(fifo) == 1 and fifo[0].endswith(f"allowed={isolated}")
            and f"last={isolated} " in fifo[0], "; ".join(fifo) or f"none of: {threads}")
    others = [line for line in threads if "policy=1 " not in line and line.endswith(f"allowed={isolated}")]
    t.check("nothing else of the engine is bound to it", not others, "; ".join(others))


def root_is_read_only(t, box):
    root = box.sh("grep ' / ' /proc/mounts").text.strip()
    t.check("the root is a read-only erofs under dm-verity", bool(re.match(r"/dev/(dm-0|mapper/root|root) / erofs ro\b", root)), root)
    said = box.sh("touch /usr/x; mount -o remount,rw / ; touch /usr/x", check=False)
    t.check("it cannot be written, nor made writable", not said.ok and box.sh("[ -e /usr/x ]", check=False).code != 0, " | ".join(said.text.strip().splitlines()))
    table = box.sh("dmsetup table 2>/dev/null || cat /sys/block/dm-0/dm/name").text.strip()
    t.check("dm-verity checks it", "verity" in table or table == "root", table[:80])


def byte_flipped(t, box):
    """A byte of the slot changes under the running system, as by a dying flash."""
    before = box.sh(f"sha256sum {SPARE} | cut -d' ' -f1").text.strip()
    root = disk.extract(box.disk, "rootfs.0", box.work / "rootfs.erofs")
    extents = disk.file_extents(root, SPARE)
    if not extents:
        raise Failed(f"{SPARE} has no extent of its own in the root")
    at = disk.partitions(box.disk)["rootfs.0"][0] + extents[0][0] + extents[0][1] // 2
    root.unlink()
    flip(box.disk, at)
    since = box.serial.mark()
    read = box.sh(f"echo 3 >/proc/sys/vm/drop_caches; sha256sum {SPARE}", check=False)
    t.check("a flipped byte of the root slot is an I/O error, not wrong data", not read.ok and "nput/output" in read.text, read.text.strip())
    log = box.sh("dmesg | grep -i verity | tail -n 1").text.strip()
    t.check("the kernel's log names dm-verity's block", "verity" in log and "corrupted" in log, log or "; ".join(text for _, text in box.serial.find("verity", since)))
    flip(box.disk, at)
    again = box.sh(f"echo 3 >/proc/sys/vm/drop_caches; sha256sum {SPARE} | cut -d' ' -f1", check=False)
    t.equal("with the byte put right it reads as before", again.text.strip(), before)


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x40]))
