"""One machine: QEMU without a window, with the appliance's disk, two networks, a watchdog, and three ways to hear of it.

    off ──start──► running ──(guest resets: watchdog, panic, reboot)──► running
                      │ cut(): the processors stop at an instant, then QEMU is ended; what was not flushed can be lost
                      └ stop(): the same without loss, for a disk that only has to be looked at

Waits are for events: the agent's answer, a line on the console, an event of QEMU. Deadlines are generous, since the machine is
emulated and shares its host; AUDYN_PATIENCE multiplies them. It ends what it started and nothing else.
"""

import os
import shutil
import subprocess
import threading
import time
import uuid
from pathlib import Path

import disk
import network
import tools
from agent import Agent
from qmp import Qmp
from report import Failed
from serial import Serial
from writelog import FLUSH, WriteLog

PATIENCE = float(os.environ.get("AUDYN_PATIENCE", "1"))
BOOT = 420 * PATIENCE  # seconds; about 60 on an idle machine
DISK_SIZE = 4 << 30
TUNNEL_PORT = 8080  # of the lab image's forwarder
OFFICE = "52:54:00:4c:41:42"  # the card that the lab image knows as lab0

# What differs between the two architectures: machine and processor, firmware and the memory that it keeps. Nehalem emulates
# faster than what QEMU calls `max`; the cortex-a72 is what the smallest of our ARM boards has.
MACHINES = {"x86_64": (["-M", "q35", "-cpu", "Nehalem"], "OVMF/OVMF_CODE_4M.fd", "OVMF/OVMF_VARS_4M.fd"),
            "aarch64": (["-M", "virt,gic-version=3", "-cpu", "cortex-a72"], "AAVMF/AAVMF_CODE.no-secboot.fd", "AAVMF/AAVMF_VARS.fd")}


def wait_for_socket(path, process, seconds=60):
    """QEMU makes its sockets before it does anything else."""
    deadline = time.monotonic() + seconds
    waiting = threading.Event()
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failed(f"QEMU did not start: {process.errors.read_text(errors='replace').strip()[-500:]}")
        waiting.wait(0.02)


class Vm:
    """`image` is copied at the first start, unless `own_disk` names a disk to use as it is. `log_writes` keeps every write
    in order, so that the power can be cut honestly (see `writelog`)."""

    def __init__(self, name, work, image=None, own_disk=None, lan=None, log_writes=False, identity=None, memory=1024,
                 arch="x86_64"):
        self.name, self.work, self.arch = name, Path(work) / name, arch
        self.work.mkdir(parents=True, exist_ok=True)
        self.disk = Path(own_disk) if own_disk else self.work / "disk.raw"
        if not own_disk:
            disk.copy_sparse(image, self.disk, DISK_SIZE)
        self.identity = identity or uuid.uuid4()
        self.memory, self.log_writes = memory, log_writes
        self.runs, self.process, self.log = 0, None, None
        self.page_port = network.free_port()
        self.lan = lan
        self.mac = "52:54:00:" + ":".join(f"{byte:02x}" for byte in self.identity.bytes[:3])
        self.tap = lan.tap() if lan else None

    # Life

    def start(self):
        """Power on; returns as soon as the processors run."""
        self.runs += 1
        place = self.work / f"run{self.runs}"
        place.mkdir(exist_ok=True)
        self.place = place
        root = tools.tree()
        machine, firmware, empty = MACHINES[self.arch]
        variables = self.work / "vars.fd"
        if not variables.exists():
            shutil.copy(root / "usr/share" / empty, variables)
        # A socket's path may have 107 bytes, and a work directory can be deep.
        self._sockets = Path(os.path.realpath(os.environ.get("TMPDIR", "/tmp"))) / f"audyn-{os.getpid()}-{id(self):x}-{self.runs}"
        self._sockets.mkdir(mode=0o700)
        sockets = {what: self._sockets / what for what in ("qmp", "console", "agent")}
        command = ["-no-user-config", "-nodefaults", "-display", "none", "-S", "-name", self.name, "-uuid", str(self.identity),
                   *machine, "-accel", "tcg,thread=multi,tb-size=1024", "-smp", "2", "-m", str(self.memory),
                   "-drive", f"if=pflash,format=raw,readonly=on,file={root}/usr/share/{firmware}",
                   "-drive", f"if=pflash,format=raw,file={variables}",
                   "-device", "i6300esb", "-action", "watchdog=reset", "-action", "reboot=reset", "-action", "panic=none",
                   "-device", "virtio-rng-pci", "-rtc", "base=utc,clock=host",
                   "-chardev", f"socket,id=q,path={sockets['qmp']},server=on,wait=off", "-mon", "chardev=q,mode=control",
                   "-chardev", f"socket,id=s,path={sockets['console']},server=on,wait=off", "-serial", "chardev:s",
                   "-device", "virtio-serial-pci",
                   "-chardev", f"socket,id=a,path={sockets['agent']},server=on,wait=off",
                   "-device", "virtserialport,chardev=a,name=audyn.lab"]
        command += self._block_devices(place)
        descriptors = []
        if self.tap:
            descriptors.append(self.tap[1])
            command += ["-netdev", f"tap,id=lan,fd={self.tap[1]}", "-device", f"virtio-net-pci,netdev=lan,mac={self.mac},romfile="]
        command += ["-netdev", f"user,id=office,restrict=on,hostfwd=tcp:127.0.0.1:{self.page_port}-:{TUNNEL_PORT}",
                    "-device", f"virtio-net-pci,netdev=office,mac={OFFICE},romfile="]
        errors = place / "qemu.err"
        with open(errors, "wb") as out:
            self.process = subprocess.Popen(tools.program(f"qemu-system-{self.arch}", "-L", root / "usr/share/qemu", *command),
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=tools.environment(),
                                            pass_fds=descriptors, preexec_fn=tools.die_with_parent)
        self.process.errors = errors
        for path in sockets.values():
            wait_for_socket(path, self.process)
        self.serial = Serial(sockets["console"], place / "serial.log")
        self.qmp = Qmp(sockets["qmp"])
        self.agent = Agent(sockets["agent"], lambda: self.process.poll() is not None, lambda: self.qmp.count("RESET"))
        self.started = time.monotonic()
        self.qmp("cont")
        return self

    def _block_devices(self, place):
        if not self.log_writes:
            return ["-drive", f"file={self.disk},format=raw,if=none,id=disk,cache=unsafe,discard=unmap",
                    "-device", "virtio-blk-pci,drive=disk,bootindex=0"]
        # The machine writes into a layer that is thrown away; the disk itself gets, at the cut, what the log leaves of it.
        layer, log = place / "layer.qcow2", place / "writes.log"
        tools.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", self.disk, "-F", "raw", layer)
        log.write_bytes(b"")
        self.log = WriteLog(log)
        return ["-blockdev", f"driver=file,node-name=f0,filename={layer},cache.no-flush=on",
                "-blockdev", "driver=qcow2,node-name=q0,file=f0,cache.no-flush=on",
                "-blockdev", f"driver=file,node-name=l0,filename={log},cache.no-flush=on",
                "-blockdev", "driver=blklogwrites,node-name=disk,file=q0,log=l0,log-sector-size=512",
                "-device", "virtio-blk-pci,drive=disk,bootindex=0,write-cache=on,discard=off,write-zeroes=off"]

    def _end(self):
        """Stops the processors at once, lets writes on their way arrive in the log, and ends QEMU."""
        if self.process is None:
            return
        if self.process.poll() is None:
            try:
                self.qmp("stop")
            except (Failed, OSError, AttributeError):
                pass
            self.process.kill()
        self.process.wait()
        for end in ("qmp", "serial", "agent"):
            if getattr(self, end, None) is not None:
                getattr(self, end).close()
        shutil.rmtree(self._sockets, ignore_errors=True)
        self.process = None

    def cut(self, dice):
        """The mains go away. A sentence on what the disk lost. Only with `log_writes`."""
        self._end()
        last = self.log.read()
        # QEMU flushes its disks when the processors stop; the machine did not ask for that.
        if last and self.log.entries[-1].flags & FLUSH:
            last -= 1
        return self.log.replay(self.disk, last, dice)

    def stop(self):
        """Ends the machine; the disk is as the machine last wrote it."""
        running = self.process is not None
        self._end()
        if running and self.log_writes:
            self.log.read()
            self.log.replay(self.disk, len(self.log.entries), _Everything())

    def power_off(self, seconds=180 * PATIENCE):
        """As a person switches it off: services end, file systems are unmounted."""
        events = len(self.qmp.events)
        self.agent.ask("systemctl poweroff --no-block", 30)
        self.qmp.wait_event("SHUTDOWN", events, seconds)
        self.stop()

    def close(self):
        """Ends the machine for good and throws its disks away; what it said stays."""
        self._end()
        for path in [self.disk, *self.work.glob("run*/layer.qcow2"), *self.work.glob("run*/writes.log")]:
            if path.is_relative_to(self.work):
                path.unlink(missing_ok=True)
        if self.tap:
            os.close(self.tap[1])
            self.tap = None

    # Hearing

    def wait_up(self, seconds=BOOT):
        """Until its root shell answers; the seconds since power on."""
        self.agent.wait(seconds, f"{self.name} (console: {self.serial.tail()})")
        return time.monotonic() - self.started

    def sh(self, script, seconds=120 * PATIENCE, check=True):
        """Runs a script as root and returns its answer; fails the subject if it did not run, or failed and `check` is set."""
        answer = self.agent.ask(script, seconds)
        if answer is None:
            raise Failed(f"{self.name}: no answer within {seconds:.0f} s to: {script[:120]}; console: {self.serial.tail()}")
        if check and not answer.ok:
            raise Failed(f"{self.name}: `{script[:160]}` ended with {answer.code}: {answer.text.strip()[-600:]}")
        return answer

    def wait_for(self, script, what, seconds=180 * PATIENCE):
        """Until a script succeeds in the box: it is asked again inside the box, once a second."""
        loop = f"i=0; while ! {{ {script}\n}}; do i=$((i+1)); [ $i -lt {int(seconds)} ] || exit 99; sleep 1; done"
        answer = self.agent.ask(loop, seconds * 2 + 60)
        if answer is None or not answer.ok:
            said = answer.text.strip()[-600:] if answer else f"no answer; console: {self.serial.tail()}"
            raise Failed(f"{self.name}: {what}: not within {seconds:.0f} s: {said}")
        return answer

    def reboot(self, script="systemctl reboot --no-block", seconds=BOOT):
        """Restarts it by a command in the box and waits for the next boot; the seconds from order to answer."""
        began, resets = time.monotonic(), len(self.qmp.events)
        self.agent.ask(script, 60)
        self.qmp.wait_event("RESET", resets, 240 * PATIENCE)
        self.agent.close()
        self.wait_up(seconds)
        return time.monotonic() - began

    def wait_next_boot(self, boot_id, seconds):
        """Until another boot than this one answers; its id."""
        deadline = time.monotonic() + seconds
        while True:
            events = len(self.qmp.events)
            now = self.agent.wait(max(1, deadline - time.monotonic()), self.name)
            if now != boot_id:
                return now
            self.qmp.wait_event("RESET", events, max(1, deadline - time.monotonic()))


class _Everything:
    """Dice for a disk that loses nothing."""

    def choice(self, _):
        return "the first of it kept"

    def randint(self, _, most):
        return most
