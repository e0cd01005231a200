"""Processes that a check starts: each is ours, each ends with us, and waiting is for a condition, never for a time."""

import signal
import subprocess
import time
from pathlib import Path

from net import die_with_parent
from verdict import die


class Procs:
    """A context that kills what it started, and nothing else."""

    def __init__(self, logs):
        self.logs = Path(logs)
        self.started = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.started:
            if process.poll() is None:
                process.kill()
        for process in self.started:
            process.wait()

    def spawn(self, name, command, before=die_with_parent, **options):
        """Starts `command`; its output goes to NAME.out and NAME.err in the log directory. `before` runs in the child."""
        out, err = self.logs / f"{name}.out", self.logs / f"{name}.err"
        with open(out, "wb") as stdout, open(err, "wb") as stderr:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, preexec_fn=before, **options)
        process.name, process.out, process.err = name, out, err
        self.started.append(process)
        return process


def said(process, lines=5):
    """The last lines that a process printed, for a message."""
    text = process.err.read_text(errors="replace") + process.out.read_text(errors="replace")
    return " | ".join(text.strip().splitlines()[-lines:]) or "(nothing printed)"


def wait_until(condition, what, seconds=30, alive=()):
    """Polls until `condition()` is true and returns its value; dies with a sentence after `seconds`, or as soon as one
    of the processes in `alive` has ended."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        for process in alive:
            if process.poll() is not None:
                die(f"{process.name} ended with {process.returncode} while waiting for {what}: {said(process)}")
        if time.monotonic() > deadline:
            hints = "; ".join(f"{process.name}: {said(process)}" for process in alive)
            die(f"{what}: not within {seconds} s; {hints}")
        time.sleep(0.01)


def finish(process, seconds):
    """Waits for a process to end by itself and returns its exit code; dies with a sentence if it does not."""
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        die(f"{process.name} did not end within {seconds} s: {said(process)}")


def interrupt(process, seconds=20):
    """Ctrl-C, and the exit code that follows."""
    process.send_signal(signal.SIGINT)
    return finish(process, seconds)


def cpu_seconds(pid):
    """User and system time of all threads of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100  # USER_HZ is 100 on every Linux that we run on


def memory_kib(pid, what="VmRSS"):
    """A line of /proc/PID/status in KiB: VmRSS now, VmHWM the highest so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what + ":"):
            return int(line.split()[1])
    return 0


def run_queue_wait(pid):
    """How long each thread of a process has been ready to run and waited for a CPU so far: {thread: nanoseconds}."""
    waits = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            waits[task.name] = int((task / "schedstat").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return waits
