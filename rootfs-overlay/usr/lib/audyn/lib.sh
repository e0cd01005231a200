# shellcheck shell=sh
# What the boot and update scripts share: where things lie, files that survive a power cut, the boot loader's record.
# Sourced, never run. POSIX sh with busybox or coreutils; no bash, no jq, no python.
#
# Owns: the format of /state/boot and of the boot loader's variables. Must never: execute what it reads from /state or
# the ESP (values are cut out of files as text), stop a boot, or leave a file half written.
#
#   /state/boot/good.A, good.B   root hash that passed its health check in this slot; the slot is on trial without it
#   /state/boot/A.why, B.why     why the slot's health check failed, one sentence
#   /state/boot/fallback         the last fall-back: slot= version= tries= reason= at=
#   /state/boot/log              one line a stage of each boot, at most 400
#   /state/boot/pstore/          what the kernel said before it died, the last 3
#   /run/audyn/boot/             this boot only: generation, memory, state-failed, trial, health, recordings, alarm.*

# Tests put all of it under another root; on the box it is unset.
R=${AUDYN_ROOT:-}
LIB=${AUDYN_LIB:-$R/usr/lib/audyn}
STATE=$R/state
BOOT=$STATE/boot
ESP=${AUDYN_ESP:-$R/efi}
RUN=$R/run/audyn
THIS=$RUN/boot

PATH=${AUDYN_PATH:-/usr/sbin:/usr/bin:/sbin:/bin}
export PATH
umask 022

# info TEXT, warn TEXT: to the journal, by systemd's level prefix.
info() { printf '<6>%s\n' "$*" >&2; }
warn() { printf '<4>%s\n' "$*" >&2; }

# ---- values ----------------------------------------------------------------------------------------------------------

# field FILE KEY: the value of the last line KEY=…, without quotes around it; fails if there is none.
field() {
  [ -r "$1" ] || return 1
  _line=$(grep -a "^$2=" "$1" 2>/dev/null | tail -n 1) || return 1
  [ -n "$_line" ] || return 1
  _line=${_line#*=}
  case $_line in
    '"'*'"') _line=${_line#?} _line=${_line%?} ;;
    "'"*"'") _line=${_line#?} _line=${_line%?} ;;
  esac
  printf '%s\n' "$_line"
}

# cmdline KEY: the value of KEY=… on the kernel's command line, of which it is a whole word.
cmdline() {
  _value=$(tr ' ' '\n' <"$R/proc/cmdline" 2>/dev/null | sed -n "s/^$1=//p" | tail -n 1)
  [ -n "$_value" ] && printf '%s\n' "$_value"
}

release() { field "$LIB/release" "AUDYN_$1"; }

# An identifier out of a file: nothing but what a version, a slot or a hash is made of.
word() { printf '%s' "$1" | tr -cd 'A-Za-z0-9._+~-' | cut -c 1-80; }

now() { date -u +%Y-%m-%dT%H:%M:%SZ; }

boot_id() { cut -c 1-8 "$R/proc/sys/kernel/random/boot_id" 2>/dev/null || echo unknown; }

SLOT=$(cmdline rauc.slot) || SLOT=
case $SLOT in A | B) ;; *) SLOT=A ;; esac
case $SLOT in A) OTHER=B ;; *) OTHER=A ;; esac
ROOTHASH=$(word "$(cmdline audyn.roothash)")
VERSION=$(word "$(release VERSION)")
FORMAT=$(word "$(release STATE_FORMAT)")
[ -n "$FORMAT" ] || FORMAT=1

# ---- files -----------------------------------------------------------------------------------------------------------

# flush PATH: everything of that file system is on the disk. (busybox may be built without `sync -f`.)
flush() { sync -f "$1" 2>/dev/null || sync; }

# put FILE: standard input becomes the file, whole or not at all: written beside it, flushed, renamed, flushed.
put() {
  mkdir -p "${1%/*}" && cat >"$1.tmp" && flush "$1.tmp" && mv -f "$1.tmp" "$1" && flush "$1" && return 0
  rm -f "$1.tmp"
  return 1
}

# number TEXT: whether it is a number that a shell can count with.
number() {
  case $1 in '' | *[!0-9]* | ??????????*) return 1 ;; esac
}

# note STAGE [TEXT]: a line in the log of boots, which is kept short. Never fails.
note() {
  [ -d "$BOOT" ] || return 0
  _trial=1
  is_trial || _trial=0
  printf '%s boot=%s slot=%s version=%s hash=%s trial=%s stage=%s%s\n' "$(now)" "$(boot_id)" "$SLOT" "$VERSION" \
    "$(printf '%s' "$ROOTHASH" | cut -c 1-8)" "$_trial" "$1" "${2:+ $2}" >>"$BOOT/log" 2>/dev/null || return 0
  if [ "$(wc -l <"$BOOT/log")" -gt 400 ]; then
    tail -n 200 "$BOOT/log" | put "$BOOT/log" || :
  fi
  flush "$BOOT/log"
}

# ---- alarms: one sentence a name, gone with the boot -------------------------------------------------------------------

alarm() {
  warn "alarm: $2"
  mkdir -p "$THIS" && printf '%s\n' "$2" >"$THIS/alarm.$1"
}
alarm_over() { rm -f "$THIS/alarm.$1"; }

# ---- trial -----------------------------------------------------------------------------------------------------------

# Not only the note that audyn-state leaves: it may have been ended at its time limit before it mounted anything.
state_persists() { [ ! -e "$THIS/memory" ] && mountpoint -q "$STATE"; }

# good_hash SLOT: the root hash that was marked good there. The state partition knows; the ESP knows too, for the day
# when the state partition is gone.
good_hash() {
  if [ -s "$BOOT/good.$1" ]; then
    word "$(cat "$BOOT/good.$1")"
  elif ! state_persists; then
    word "$(loader_get "$1_GOOD")"
  fi
}

# Decided once a boot, by boot-report: what mark-good does later must not change what this boot was.
is_trial() {
  if [ -s "$THIS/trial" ]; then
    [ "$(cat "$THIS/trial")" = 1 ]
  else
    [ -z "$ROOTHASH" ] || [ "$(good_hash "$SLOT")" != "$ROOTHASH" ]
  fi
}

# Whether a restart can lead to something better than what runs.
other_is_good() { [ -n "$(good_hash "$OTHER")" ] && [ "$(loader_ok "$OTHER")" = 1 ]; }

# ---- the boot loader's record ------------------------------------------------------------------------------------------
# GRUB: grubenv and its copy grubenv.bak on the ESP. Raspberry Pi: what tryboot-backend keeps on the boot partition.

loader_kind() {
  if grep -q '^bootloader=custom' "$R/etc/rauc/system.conf" 2>/dev/null; then echo tryboot; else echo grub; fi
}

ENV=$ESP/audyn/grubenv

# env_whole FILE: an environment block of ours: GRUB can read it, and its last variable is there.
env_whole() { [ -f "$1" ] && grub-editenv "$1" list 2>/dev/null | grep -qx 'AUDYN_ENV=1'; }

# What is written to the ESP is written in place, a whole block over a whole block of the same size: then no entry of the
# directory and nothing of the FAT changes but a time. A rename, though usual, is worse than that on FAT: the new name is
# written before the old one is gone, so a power cut leaves two names for the same clusters, and whoever tidies up one of
# them frees the other's. While one of grubenv and grubenv.bak is written, the other is whole.

# env_put FROM TO: TO becomes the block FROM, which lies elsewhere (/run). A file that isn't there, or is no block, is made
# anew: there is nothing in it to lose.
env_put() {
  env_whole "$1" || return 1
  if [ "$(wc -c <"$2" 2>/dev/null)" = 1024 ]; then
    dd if="$1" of="$2" bs=1024 count=1 conv=notrunc,fsync 2>/dev/null || return 1
  else
    rm -f "$2" && dd if="$1" of="$2" bs=1024 count=1 conv=fsync 2>/dev/null || return 1
  fi
  flush "$2" && cmp -s "$1" "$2"
}

# env_scratch: the name of a file in memory in which a block is prepared.
env_scratch() { mkdir -p "$THIS" && echo "$THIS/grubenv"; }

# env_copy FROM TO
env_copy() {
  if cmp -s "$1" "$2"; then return 0; fi
  _block=$(env_scratch) && cp "$1" "$_block" && env_put "$_block" "$2"
}

# env_new FILE: a block that prefers the running slot.
env_new() {
  rm -f "$1" && grub-editenv "$1" create &&
    grub-editenv "$1" set "ORDER=$SLOT $OTHER" A_OK=1 A_TRY=0 B_OK=1 B_TRY=0 A_GOOD= B_GOOD= AUDYN_ENV=1
}

# loader_repair: makes grubenv and its copy whole again, one from the other or both anew; prints what was wrong with
# grubenv, if anything was.
loader_repair() {
  [ "$(loader_kind)" = grub ] || return 0
  if env_whole "$ENV"; then
    # RAUC's way of writing empties grubenv first: its copy must be there then.
    env_whole "$ENV.bak" || env_copy "$ENV" "$ENV.bak" || warn "the copy of the boot loader's record could not be restored"
    return 0
  fi
  if env_whole "$ENV.bak"; then
    env_copy "$ENV.bak" "$ENV" && echo "The boot loader's record was damaged; it was restored from its copy."
  else
    mkdir -p "${ENV%/*}" && _block=$(env_scratch) && env_new "$_block" && env_put "$_block" "$ENV" && env_copy "$ENV" "$ENV.bak" &&
      echo "The boot loader's record and its copy were damaged; a new one was made."
  fi
  env_whole "$ENV" || echo "The boot loader's record is damaged and could not be repaired; updates are not possible."
}

# loader_backup: the copy follows the record. Called when a slot was marked good.
loader_backup() {
  [ "$(loader_kind)" = grub ] || return 0
  env_whole "$ENV" && env_copy "$ENV" "$ENV.bak"
}

# env_set KEY=VALUE…: grub-editenv itself would empty the file before it writes it, so it works on a copy in memory.
env_set() {
  env_whole "$ENV.bak" || env_copy "$ENV" "$ENV.bak" || return 1
  _block=$(env_scratch) && cp "$ENV" "$_block" && grub-editenv "$_block" set "$@" && env_put "$_block" "$ENV"
}

loader_get() {
  case $(loader_kind) in
    grub) grub-editenv "$ENV" list 2>/dev/null | sed -n "s/^$1=//p" ;;
    tryboot) "$LIB/tryboot-backend" get "$1" 2>/dev/null ;;
  esac
}

loader_set() {
  case $(loader_kind) in
    grub) env_set "$@" ;;
    tryboot) "$LIB/tryboot-backend" set "$@" ;;
  esac
}

# loader_good: what `rauc status mark-good` does, for the case that RAUC can't.
loader_good() {
  case $(loader_kind) in
    grub) loader_set "${SLOT}_OK=1" "${SLOT}_TRY=0" ;;
    tryboot) "$LIB/tryboot-backend" set-state "$SLOT" good ;;
  esac
}

loader_ok() { loader_get "$1_OK"; }
loader_try() {
  _try=$(loader_get "$1_TRY")
  number "$_try" || _try=0
  echo "$_try"
}
# The slot that is wanted: after an update the new one, even while the old one runs.
loader_first() {
  case $(loader_kind) in
    grub) word "$(loader_get ORDER | cut -d ' ' -f 1)" ;;
    tryboot) word "$("$LIB/tryboot-backend" get-primary 2>/dev/null)" ;;
  esac
}

# ---- JSON ------------------------------------------------------------------------------------------------------------

# json TEXT: a JSON string; control characters and bytes that are no ASCII are dropped.
json() { printf '"%s"' "$(printf '%s' "$1" | tr '\n\t' '  ' | LC_ALL=C tr -cd ' -~' | sed 's/\\/\\\\/g; s/"/\\"/g')"; }
