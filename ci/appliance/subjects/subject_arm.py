"""64-bit ARM: firmware, boot loader, kernel, engine; a flow recorded; the capture thread's place; the clock; a restart."""

import time

from box import RATE, Flow
from subject_boot import capture_thread, first_boot, root_is_read_only, through_the_page


def run(t):
    box = t.box("arm", image=t.images.arm_disk("1.0.0"), arch="aarch64")
    first_boot(t, box, "lab-aarch64")
    t.check("the processor is ARM's, started by UEFI", box.sh("uname -m; ls -d /sys/firmware/efi").text.split() == ["aarch64", "/sys/firmware/efi"],
            box.sh("uname -rvm").text.strip())
    clock(t, box)
    image = box.wait_health("good")
    t.check("the health check finds it good", not image.get("alarms"), f"{image}")
    flow = Flow(0)
    box.record([flow], frames=10 * RATE)
    through_the_page(t, box, flow)
    capture_thread(t, box)
    root_is_read_only(t, box)
    comes_back(t, box)


def clock(t, box):
    """An RT kernel leaves UEFI's clock alone unless told otherwise, and most ARM boards with UEFI have no other."""
    seconds = float(box.sh("cat /proc/uptime; date +%s").text.split()[2])
    t.check("its clock was set from the board's", abs(seconds - time.time()) < 120, f"{seconds - time.time():+.0f} s from ours")


def comes_back(t, box):
    """The version stays the good one, and the box comes back with its settings from the same slot."""
    box.wait_for("[ ! -e /run/audyn/image.json ] || grep -q '\"trial\": *false' /run/audyn/image.json", "mark-good")
    before = box.settings()
    t.note(f"restart to root shell: {box.reboot():.0f} s")
    box.prepare()
    t.equal("settings after a restart", box.settings(), before)
    t.check("it runs from the same slot, no longer on trial", box.slot() == "A" and box.image().get("trial") is False, f"{box.image()}")
