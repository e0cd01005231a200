"""irq: which interrupts are moved off the isolated CPUs, and that nothing else happens to any."""

import shutil
import subprocess

from units_checks.overlay import OVERLAY

SCRIPT = OVERLAY / "usr/lib/audyn-irq/move"

# A file that gives a list with CPU 0 on it and refuses to be written to, as that of an interrupt that can't be moved.
STUCK = "/sys/devices/system/cpu/online"


def run(verdict, work):
    for shell in (["dash"], ["busybox", "sh"]):
        if shutil.which(shell[0]) is None:
            verdict.skip(f"interrupts by {shell[0]}", "it is not installed")
            continue
        box = work / f"irq-{shell[0]}"

        def moved(what, isolated, before, after, words=(), online="0-3"):
            shutil.rmtree(box, ignore_errors=True)
            cpu = box / "sys/devices/system/cpu"
            cpu.mkdir(parents=True)
            (cpu / "online").write_text(online + "\n")
            if isolated is not None:
                (cpu / "isolated").write_text(isolated + "\n")
            for number, (allowed, effective) in before.items():
                irq = box / f"proc/irq/{number}"
                irq.mkdir(parents=True)
                if allowed == STUCK:
                    (irq / "smp_affinity_list").symlink_to(STUCK)
                else:
                    (irq / "smp_affinity_list").write_text(allowed + "\n")
                if effective is not None:
                    (irq / "effective_affinity_list").write_text(effective + "\n")
            environment = {"PATH": "/usr/bin:/bin", "AUDYN_PROC": str(box / "proc"), "AUDYN_SYS": str(box / "sys")}
            done = subprocess.run([*shell, SCRIPT], env=environment, capture_output=True, text=True, timeout=60)
            have = {n: (box / f"proc/irq/{n}/smp_affinity_list").read_text().strip() for n in before if before[n][0] != STUCK}
            said = done.stdout + done.stderr
            good = done.returncode == 0 and have == after and all(word in said for word in words) and bool(said) == bool(words)
            verdict.check(f"irq: {shell[0]}: {what}", good, "" if good else f"{have}; {said}")

        moved("a hint onto the isolated CPU is taken back", "3", {"24": ("3", "3"), "25": ("0-3", "2"), "26": ("1,3", None)},
              {"24": "0,1,2", "25": "0,1,2", "26": "1"}, ["3 interrupts moved"])
        moved("what is elsewhere stays as it is", "3", {"24": ("0-2", "1"), "25": ("2", "2"), "26": ("0,13", "0")}, {"24": "0-2", "25": "2", "26": "0,13"})
        moved("no CPU is isolated", "", {"24": ("0-3", "3")}, {"24": "0-3"})
        moved("a kernel that doesn't tell", None, {"24": ("0-3", "3")}, {"24": "0-3"})
        moved("every CPU is isolated", "0-3", {"24": ("0-3", "3")}, {"24": "0-3"})
        moved("what can't be moved is told, and the next one moved", "0", {"24": (STUCK, "0"), "25": ("0", "0")}, {"25": "1,2,3"},
              ["1 interrupt moved", "24"])
        moved("what can't be moved and fires elsewhere is no matter", "0", {"24": (STUCK, "2")}, {})
        moved("a machine without interrupts", "3", {}, {})
