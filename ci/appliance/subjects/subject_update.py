"""v1 to v2 while recording, the gap measured; marked good; back by one command; settings and recordings whole."""

import time

from box import RATE, Flow, problems_of


def run(t):
    image, bundle = t.images.disk("1.0.0"), t.images.bundle("2.0.0")
    flow = Flow(1)
    box = t.box("box", image=image, media=t.images.media("update", {"v2.raucb": bundle}), log_writes=True)
    first = box.up_and_well()
    box.record([flow])
    t.check("v1 is marked good on slot A", first["version"] == "1.0.0" and first["slot"] == "A" and not first["trial"], f"{first}")
    settings = box.settings()

    begun, clock = box.log.read(), time.monotonic()
    answer = box.install("v2.raucb")
    ended = box.log.read()
    t.check("v2 is installed while v1 records", answer.ok,
            f"{time.monotonic() - clock:.0f} s, {box.log.written(begun, ended) >> 20} MiB written" if answer.ok else str(answer)[-500:])
    if not answer.ok:
        return
    t.shared["install"] = {"image": image, "log": box.log.keep(t.work / "install.log"), "begun": begun, "ended": ended,
                           "settings": settings, "identity": box.identity}
    still = box.wait_recording([flow])[flow.name]
    t.note(f"at the end of the installation the recorder had {still['frames_written']} frames and {still['frames_filled']} lost ones")

    switched = box.sh("cat /proc/sys/kernel/random/boot_id").text.strip()
    if box.image()["version"] == "1.0.0":
        box.reboot()
    else:
        box.wait_next_boot(switched, 400)
    box.prepare()
    trial = box.image()
    t.check("after the restart it runs v2 on slot B, on trial", trial["version"] == "2.0.0" and trial["slot"] == "B" and trial["trial"], f"{trial}")
    t.equal("v2 has v1's settings", box.settings(), settings)
    box.wait_recording([flow], frames=2 * RATE)
    good = box.wait_health()
    t.check("v2 is marked good", good["version"] == "2.0.0" and good["health"] == "good", f"{good}")
    status = box.sh("audyn-update status").text
    t.check("audyn-update status says so", "2.0.0" in status, " | ".join(status.split("\n"))[:300])

    box.reboot("audyn-update rollback")
    box.prepare()
    back = box.image()
    t.check("one command brings v1 back", back["version"] == "1.0.0" and back["slot"] == "A", f"{back}")
    t.equal("with its settings", box.settings(), settings)
    box.wait_recording([flow], frames=2 * RATE)
    recordings_joined(t, box, flow)


def recordings_joined(t, box, flow):
    """Every file of the three boots is whole; what lies between them is the gap, but that a full hour begins a new file without one."""
    box.tunnel()
    box.get_json(f"/api/recorders/{flow.name}/stop", "POST")
    recordings = box.recordings(flow)
    bad = problems_of(recordings)
    t.check("every recording is whole", not bad and bool(recordings), "; ".join(bad) or ", ".join(
        f"{r.path.name} {r.frames / RATE:.1f} s ({r.lost} frames lost)" for r in recordings))
    placed = [r for r in recordings if r.position is not None]
    gaps = [gap for a, b in zip(placed, placed[1:]) if (gap := a.gap_to(b) / RATE) or a.hour() == b.hour()]
    t.check("the gaps of update and rollback are measured", len(gaps) == 2 and all(0 < gap < 300 for gap in gaps),
            ", ".join(f"{name} {gap:.1f} s" for name, gap in zip(("update", "rollback"), gaps)) + " of audio missing, under TCG")
