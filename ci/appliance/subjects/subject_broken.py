"""v3 that panics, has no init, hangs, or has an engine that fails its health check: back on v2 each time, and it says why."""

import time

from box import RATE, Flow, problems_of
from report import Failed
from vm import PATIENCE

KINDS = ("panics", "no-init", "hangs", "hangs-late", "sick-engine")


def run(t):
    kinds = t.kinds or KINDS
    for kind in kinds:
        if kind not in KINDS:
            raise Failed(f"there is no kind {kind}: choose of {', '.join(KINDS)}")
    bundles = {f"{kind}.raucb": t.images.broken(kind, "3.0.0") for kind in kinds}
    flow = Flow(4)
    box = t.box("box", image=t.images.disk("2.0.0"), media=t.images.media("broken", bundles))
    box.up_and_well()
    box.record([flow])
    settings = box.settings()
    for kind in kinds:
        try:
            falls_back(t, box, kind, flow, settings)
        except Failed as error:
            t.check(f"{kind}: it comes back", False, str(error))
            return
    box.tunnel()
    box.get_json(f"/api/recorders/{flow.name}/stop", "POST")
    recordings = box.recordings(flow)
    bad = problems_of(recordings)
    t.check("every recording is whole after all of them", not bad and len(recordings) > len(kinds),
            "; ".join(bad) or f"{len(recordings)} files, {sum(r.frames for r in recordings) / RATE:.0f} s")


def falls_back(t, box, kind, flow, settings):
    before = box.boot_id
    answer = box.install(f"{kind}.raucb")
    t.check(f"{kind}: its bundle is installed", answer.ok, "" if answer.ok else str(answer)[-400:])
    if not answer.ok:
        return
    since, clock, resets = box.serial.mark(), time.monotonic(), len(box.qmp.events)
    box.agent.ask("systemctl reboot --no-block", 60)
    box.qmp.wait_event("RESET", resets, 240 * PATIENCE)
    deadline = time.monotonic() + 1800 * PATIENCE
    while True:
        # A version that boots far enough to answer is on trial; wait for the one that is not.
        box.boot_id = before = box.wait_next_boot(before, deadline - time.monotonic())
        version = box.sh("sed -n 's/^AUDYN_VERSION=//p' /usr/lib/audyn/release").text.strip().strip("'\"")
        if version == "2.0.0":
            break
    box.prepare()
    took = time.monotonic() - clock
    tries = len(box.serial.find(r"Audyn: slot [AB], try \d", since))
    image = box.wait_health()
    t.check(f"{kind}: back on v2", image["version"] == "2.0.0", f"after {took:.0f} s and {tries} starts, on slot {image['slot']}")
    watchdog = [event for event in box.qmp.events[resets:] if event[1] == "WATCHDOG"]
    if kind.startswith("hangs"):
        t.check(f"{kind}: the hardware watchdog ended each try", len(watchdog) >= 3, f"{len(watchdog)} times")
    fallback = image.get("fallback") or {}
    t.check(f"{kind}: the reason is kept", fallback.get("version") == "3.0.0" and bool(fallback.get("reason")), f"{fallback}")
    status = " ".join(box.sh("audyn-update status").text.split())
    t.check(f"{kind}: audyn-update status shows it", "3.0.0" in status and (fallback.get("reason") or "?") in status, status[-400:])
    box.tunnel()
    shown = box.get_json("/api/system/image").get("fallback") or {}
    t.equal(f"{kind}: /api/system/image shows it", shown.get("reason"), fallback.get("reason"))
    console = " ".join(box.sh("cat /run/issue.d/* 2>/dev/null").text.split())
    t.check(f"{kind}: the console's banner shows it", "3.0.0" in console, console[-300:])
    t.equal(f"{kind}: settings whole", box.settings(), settings)
    box.wait_recording([flow], frames=RATE)
