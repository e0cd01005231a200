"""The engine restarted by the real systemd while it records: its sockets are kept, and no packet is lost.

The sender runs in the box and sends over its loopback: what an emulated card loses on a busy host says nothing of a restart."""

import json

from box import RATE, Flow, problems_of

RESTARTS = 3


def run(t):
    box = t.box("box", image=t.images.disk("1.0.0"))
    box.up_and_well()
    flow = Flow(2)
    box.interface = "lo"
    box.configure([flow])
    box.sh(f"systemd-run --unit=restart-sender audyn send --index --stream-id {flow.stream} -m {flow.group} -p {flow.port} "
           "--interface lo --ptime 4")
    box.wait_recording([flow], frames=5 * RATE)
    kept = stored(box)
    t.check("systemd keeps the flow's socket", kept == "1", f"NFileDescriptorStore={kept}")
    for _ in range(RESTARTS):
        before = pid(box)
        box.sh("systemctl restart audyn-engine", 180)
        t.check("systemctl restart: another engine runs", pid(box) != before, f"{before}, then {pid(box)}")
        box.wait_recording([flow], frames=3 * RATE)
        t.check("the kernel had room for what came meanwhile", dropped(box) == 0, f"{dropped(box)} packets dropped since the socket was made")
    t.check("it went on with the kept socket each time", took_over(box) == RESTARTS, f"{took_over(box)} of {RESTARTS} times")
    killed = pid(box)
    box.sh("systemctl kill --signal=KILL audyn-engine")
    box.wait_for(f'[ "$(systemctl show --property=MainPID --value audyn-engine)" -gt 0 ] && [ ! -e /proc/{killed} ]', "the next engine")
    box.wait_recording([flow], frames=3 * RATE)
    t.check("after a crash as well", took_over(box) == RESTARTS + 1 and stored(box) == "1", f"NFileDescriptorStore={stored(box)}")
    joined(t, box, flow)
    box.sh("systemctl stop audyn-engine", 180)
    t.check("a stop forgets it", stored(box) == "0", f"NFileDescriptorStore={stored(box)}")


def joined(t, box, flow):
    """Files of one engine each, but for a full hour in the midst of the test."""
    box.tunnel()
    box.get_json(f"/api/recorders/{flow.name}/stop", "POST")
    recordings = sorted(box.recordings(flow), key=lambda recording: recording.position or 0)
    bad = problems_of(recordings)
    t.check("every recording is whole", not bad and len(recordings) >= RESTARTS + 2, "; ".join(bad) or ", ".join(
        f"{r.path.name} {r.frames / RATE:.1f} s ({r.lost} frames lost)" for r in recordings))
    holes = [first.gap_to(later) for first, later in zip(recordings, recordings[1:])]
    # The crash is the last; what the engine had read and not yet written is lost then.
    t.check("between the files of a restart no frame is missing", not any(holes[:-1]), f"frames between: {holes[:-1]}")
    t.note(f"after SIGKILL {holes[-1] / RATE * 1000 if holes else 0:.0f} ms are missing (TCG)")


def pid(box):
    return box.sh("systemctl show --property=MainPID --value audyn-engine").text.strip()


def stored(box):
    return box.sh("systemctl show --property=NFileDescriptorStore --value audyn-engine").text.strip()


def dropped(box):
    return json.loads(box.sh("audyn --json status", 60, check=False).text)["flows"][0]["counters"]["kernel_dropped"]


def took_over(box):
    text = box.sh("journalctl -b -u audyn-engine -o cat --no-pager", 120).text
    return text.count("goes on with the socket of the engine before")
