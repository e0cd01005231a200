"""A box in a directory: /state, /efi, /proc, /run … under one root, and fakes of the programs that touch hardware.

The scripts are the ones of rootfs-overlay, run by a real shell; AUDYN_ROOT leads them here. A boot clears what a boot
clears (/run, /var, mounts). `mount` makes symbolic links, so that what is "mounted" where can be seen.
"""

import json
import shutil
import subprocess
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
OVERLAY = REPO / "rootfs-overlay"
HASH = {"1": "1" * 64, "2": "2" * 64, "3": "3" * 64}

FAKES = {
    # The block that GRUB reads: a signature, lines, filled up with # to 1024 bytes.
    "grub-editenv": r"""
file=$1; verb=$2; shift 2
ok() { [ "$(head -c 25 "$file" 2>/dev/null)" = "# GRUB Environment Block" ] && [ "$(wc -c <"$file")" -ge 512 ]; }
store() { text=$(cat); n=$(printf '%s\n' "$text" | wc -c); { printf '%s\n' "$text"; head -c $((1024 - n)) /dev/zero | tr '\0' '#'; } >"$file"; }
case $verb in
  create) echo "# GRUB Environment Block" | store ;;
  list) ok || exit 1; tail -n +2 "$file" | tr -d '#' ;;
  set) ok || exit 1
    [ ! -e "$FAKE/esp-full" ] || exit 1
    for pair; do
      key=${pair%%=*}; kept=$(tr -d '\0' <"$file" | sed 's/##*$//')
      if printf '%s\n' "$kept" | grep -q "^$key="; then printf '%s\n' "$kept" | sed "s|^$key=.*|$pair|"; else printf '%s\n%s\n' "$kept" "$pair"; fi | store
    done ;;
esac""",
    "mount": r"""
echo "mount $*" >>"$FAKE/log"
for last; do from=${to:-}; to=$last; done
case "$*" in
  *"-t ext4"*) [ -e "$from" ] && [ ! -e "$FAKE/no-mount" ] || exit 32 ;;
  *"-t vfat -o ro,"*) [ -e "$from" ] && [ ! -e "$FAKE/no-esp" ] || exit 32 ;;
  *"-t vfat"*) [ -e "$from" ] && [ ! -e "$FAKE/esp-ro" ] || exit 32 ;;
  *"-t tmpfs"*) [ ! -e "$FAKE/no-tmpfs" ] || exit 32; from=$(mktemp -d "$FAKE/tmpfs.XXXXXX") ;;
  *--bind*) [ ! -e "$FAKE/no-bind" ] || exit 32 ;;
esac
rmdir "$to" && ln -s "$from" "$to" """,
    "umount": 'echo "umount $*" >>"$FAKE/log"; rm "$1" && mkdir "$1"',
    "mountpoint": '[ -L "$2" ]',
    "e2fsck": r"""
echo "e2fsck $*" >>"$FAKE/log"
case $1 in -p) exit "$(cat "$FAKE/fsck-p" 2>/dev/null || echo 0)" ;; *) exit "$(cat "$FAKE/fsck-y" 2>/dev/null || echo 0)" ;; esac""",
    "sync": ":",
    # Says of each write to the boot loader's record whether the other block is whole meanwhile; cut-dd: the power goes in it.
    "dd": r"""
for word; do case $word in of=*/efi/audyn/grubenv*) to=${word#of=} ;; esac; done
if [ -n "${to:-}" ]; then
  case $to in *.bak) other=${to%.bak} ;; *) other=$to.bak ;; esac
  if grub-editenv "$other" list 2>/dev/null | grep -qx AUDYN_ENV=1; then said=whole; else said=torn; fi
  echo "write ${to##*/}, the other is $said" >>"$FAKE/log"
  if [ "$(cat "$FAKE/cut-dd" 2>/dev/null)" = "${to##*/}" ]; then head -c 700 /dev/zero >"$to"; exit 99; fi
fi
for real in /usr/bin/dd /bin/dd; do [ ! -x $real ] || exec $real "$@"; done""",
    "fsck.fat": 'echo "fsck.fat $*" >>"$FAKE/log"; exit "$(cat "$FAKE/fsck-fat" 2>/dev/null || echo 1)"',
    "systemctl": r"""
echo "systemctl $*" >>"$FAKE/log"
case "$*" in
  "show "*) for unit; do :; done; cat "$FAKE/unit.$unit" 2>/dev/null || printf 'NRestarts=0\nActiveEnterTimestampMonotonic=5\n' ;;
  "-q is-active "*) [ ! -e "$FAKE/down.$3" ] ;;
  is-system-running) cat "$FAKE/system-state" 2>/dev/null || echo running ;;
  "list-units --failed "*) cat "$FAKE/failed-units" 2>/dev/null ;;
  list-jobs) cat "$FAKE/jobs" 2>/dev/null ;;
esac""",
    "audyn": r"""
echo "audyn $*" >>"$FAKE/log"
[ ! -e "$FAKE/selftest-hangs" ] || kill -TERM 0
cat "$FAKE/selftest" 2>/dev/null; [ ! -e "$FAKE/selftest" ]""",
    "busybox": r"""
echo "busybox $*" >>"$FAKE/log"
[ ! -e "$FAKE/no-web" ]""",
    "sleep": r"""
echo "sleep $1" >>"$FAKE/log"
[ ! -e "$FAKE/at-sleep" ] || sh "$FAKE/at-sleep" """,
    "rauc": r"""
echo "rauc $*" >>"$FAKE/log"
env=$AUDYN_ROOT/efi/audyn/grubenv
here=$(sed -n 's/.*rauc.slot=\([AB]\).*/\1/p' "$AUDYN_ROOT/proc/cmdline"); case $here in A) other=B ;; *) other=A ;; esac
case "$*" in
  "status mark-good") [ ! -e "$FAKE/no-rauc" ] || exit 1
    if [ ! -e "$env" ]; then exec "$AUDYN_LIB/tryboot-backend" set-state "$here" good; fi
    grub-editenv "$env" set "${here}_OK=1" "${here}_TRY=0" ;;
  "status mark-active other") grub-editenv "$env" set "${other}_OK=1" "${other}_TRY=0" "ORDER=$other $here" ;;
  "info "*) cat "$FAKE/info"; [ ! -e "$FAKE/info-fails" ] ;;
  "install "*) cat "$FAKE/install-says" 2>/dev/null; [ ! -e "$FAKE/install-says" ] || exit 1
    said=$("$AUDYN_LIB/pre-install") || { printf '%s\nLastError: pre-install failed\n' "$said"; exit 1; }
    grub-editenv "$env" set "${other}_OK=0" "${other}_TRY=0"
    [ ! -e "$FAKE/install-cut" ] || exit 1
    grub-editenv "$env" set "${other}_OK=1" "${other}_TRY=0" "ORDER=$other $here" ;;
esac""",
    "systemd-repart": 'echo "systemd-repart $*" >>"$FAKE/log"; [ ! -e "$FAKE/no-repart" ]',
    # The state partition made anew: what was in it is gone, and it is whole and has the UUID that it was given.
    "mke2fs": r"""
echo "mke2fs $*" >>"$FAKE/log"
[ ! -e "$FAKE/no-mkfs" ] || exit 1
for last; do :; done
rm -rf "$last"; mkdir "$last"; rm -f "$FAKE/no-mount"
while [ $# -gt 1 ]; do [ "$1" != -U ] || echo "$2" >"$FAKE/fs-uuid"; shift; done""",
    "dumpe2fs": r"""[ -s "$FAKE/fs-uuid" ] && printf 'Filesystem volume name:   state\nFilesystem UUID:          %s\n' "$(cat "$FAKE/fs-uuid")" """,
    # A disk that comes while it is waited for is made by the test's own script.
    "udevadm": r"""
echo "udevadm $*" >>"$FAKE/log"
case $1 in info) for last; do :; done; cat "$FAKE/udev.${last##*/}" 2>/dev/null ;; wait) [ ! -e "$FAKE/at-wait" ] || sh "$FAKE/at-wait" ;; esac""",
    "ssh-keygen": r"""
[ "$1" != -l ] || exec /usr/bin/ssh-keygen "$@"
while [ $# -gt 0 ]; do case $1 in -f) file=$2 ;; esac; shift; done
head -c 20 /dev/urandom | od -An -tx1 >"$file"; echo public >"$file.pub" """,
}


class Box:
    def __init__(self, work, shell, loader="grub"):
        self.root = Path(work)
        self.shell = shell
        self.loader = loader
        self.fake = self.root / "fake"
        self.boots = 0
        for name in ("fake/bin", "efi/audyn", "proc/sys/kernel/random", "etc/rauc", "usr/lib", "disk"):
            (self.root / name).mkdir(parents=True)
        for name, text in FAKES.items():
            path = self.fake / "bin" / name
            path.write_text(f"#!/bin/sh\n{text.strip()}\n")
            path.chmod(0o755)
        self.lib = self.root / "usr/lib/audyn"
        shutil.copytree(OVERLAY / "usr/lib/audyn", self.lib)
        shutil.copy(REPO / "board/common/rauc/tryboot-backend", self.lib)
        (self.root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
        (self.root / "etc/rauc/system.conf").write_text(f"[system]\nbootloader={'grub' if loader == 'grub' else 'custom'}\n")
        if loader == "grub":
            self.new_env()

    # ---- what the test sets up

    def new_env(self, order="A B", **values):
        pairs = {"ORDER": order, "A_OK": 1, "A_TRY": 0, "B_OK": 0, "B_TRY": 0, "AUDYN_ENV": 1} | values
        text = "# GRUB Environment Block\n" + "".join(f"{key}={value}\n" for key, value in pairs.items())
        for name in ("grubenv", "grubenv.bak"):
            (self.root / "efi/audyn" / name).write_bytes(text.encode().ljust(1024, b"#"))

    def env(self, name="grubenv"):
        text = (self.root / "efi/audyn" / name).read_bytes().decode(errors="replace")
        if not text.startswith("# GRUB Environment Block\n"):
            return None
        return dict(line.split("=", 1) for line in text.rstrip("#").splitlines()[1:] if "=" in line)

    def set_env(self, **values):
        merged = self.env() | {key: str(value) for key, value in values.items()}
        text = "# GRUB Environment Block\n" + "".join(f"{key}={value}\n" for key, value in merged.items())
        (self.root / "efi/audyn/grubenv").write_bytes(text.encode().ljust(1024, b"#"))

    def flag(self, name, text=""):
        (self.fake / name).write_text(text)

    def unflag(self, *names):
        for name in names:
            (self.fake / name).unlink(missing_ok=True)

    def boot(self, slot="A", version="1", fmt=1, skipped="", run=True, cut=None, more=""):
        """Power on: this slot, this version. Runs state and boot-report unless told otherwise; returns state's result."""
        self.boots += 1
        for name in ("run", "var"):
            shutil.rmtree(self.root / name, ignore_errors=True)
            (self.root / name).mkdir()
        state = self.root / "state"
        if state.is_symlink():
            state.unlink()
        elif state.exists():
            shutil.rmtree(state)
        for left in self.fake.glob("tmpfs.*"):
            shutil.rmtree(left)
        (self.fake / "log").write_text("")
        self.slot, self.version = slot, version
        (self.root / "proc/cmdline").write_text(
            f"quiet rauc.slot={slot} audyn.roothash={HASH[version]} audyn.env=grubenv audyn.skipped={skipped} {more}\n")
        (self.root / "proc/sys/kernel/random/boot_id").write_text(f"{self.boots:08x}-0000\n")
        (self.lib / "release").write_text(
            f"AUDYN_VERSION={version}\nAUDYN_BOARD=lab\nAUDYN_COMPATIBLE=audyn-lab\nAUDYN_STATE_FORMAT={fmt}\nAUDYN_KIND=lab\n")
        result = self.script("state", "start", cut=cut)
        if run and cut is None:
            self.script("boot-report", "start")
        return result

    def grub_boot(self, version="1", **more):
        """As GRUB would: raises TRY of the first slot that may be tried, and boots it; VERSIONS says what is in it."""
        env = self.env()
        for slot in env["ORDER"].split():
            if env[f"{slot}_OK"] == "1" and int(env[f"{slot}_TRY"]) < 3:
                self.set_env(**{f"{slot}_TRY": int(env[f"{slot}_TRY"]) + 1})
                return slot
        raise AssertionError("nothing left to boot")

    # ---- running things

    def script(self, name, *args, cut=None, stdin="", env=None):
        path = self.lib / name if (self.lib / name).exists() else OVERLAY / "usr/bin" / name
        environment = {
            "AUDYN_ROOT": str(self.root), "AUDYN_LIB": str(self.lib), "FAKE": str(self.fake), "AUDYN_PATH":
            f"{self.fake}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PATH": f"{self.fake}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "AUDYN_STATE_DEVICE": str(self.root / "disk"), "AUDYN_ESP_DEVICE": str(self.root / "efi"), "LC_ALL": "C", "AUDYN_WEB_TRIES": "3",
        } | (env or {})
        if cut:
            environment["AUDYN_CUT"] = cut
        return subprocess.run([*self.shell(self.fake, path), *args], env=environment, input=stdin, text=True, capture_output=True, check=False,
                              start_new_session=True)

    def health(self):
        """What systemd does: check, then after with the result; mark-good only if it passed."""
        check = self.script("health", "check")
        result = "success" if check.returncode == 0 else "signal" if check.returncode < 0 else "exit-code"
        self.script("health", "after", env={"SERVICE_RESULT": result})
        if check.returncode == 0:
            return self.script("mark-good")
        return check

    # ---- looking

    def report(self):
        return json.loads((self.root / "run/audyn/image.json").read_text())

    def log(self):
        return (self.fake / "log").read_text()

    def rebooted(self):
        return "reboot" in self.log()

    def generation(self):
        return (self.root / "run/audyn/boot/generation").read_text().strip()

    def generations(self):
        return sorted(int(path.name) for path in (self.root / "disk/gen").iterdir() if path.is_dir() and path.name.isdigit())

    def meta(self, number, key=None):
        text = (self.root / f"disk/gen/{number}.meta").read_text()
        values = dict(line.split("=", 1) for line in text.splitlines())
        return values[key] if key else values

    def settings(self):
        """The engine's settings as this boot sees them."""
        return self.root / "var/lib/audyn/engine/settings"

    def boot_file(self, name):
        path = self.root / "disk/boot" / name
        return path.read_text() if path.exists() else None

    def alarms(self):
        return " ".join(self.report()["alarms"])


def dash(_fake, path):
    return [shutil.which("dash") or "sh", str(path)]


def busybox(program):
    """Debian's busybox prefers its own applets to PATH, so that the fakes must be functions of its shell. It really would
    mount something otherwise. What the script starts itself is run by /bin/sh."""
    def command(fake, path):
        fakes = " ".join(f'{name}() {{ "{fake}/bin/{name}" "$@"; }};' for name in FAKES if name.isalnum())
        return [program, "sh", "-c", f'{fakes} . "{path}"', str(path)]
    return command


def shells(tools):
    """The shells of the target: dash, and busybox's where there is one. TOOLS: the chroot of tools, or None."""
    found = [("dash", dash)]
    for candidate in ("/bin/busybox", "/usr/bin/busybox", f"{tools}/usr/bin/busybox" if tools else ""):
        if candidate and Path(candidate).exists():
            found.append(("busybox", busybox(candidate)))
            break
    return found
