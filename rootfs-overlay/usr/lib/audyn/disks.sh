# shellcheck shell=sh
# Which disks are there, which of them is this box's, and which one is remembered for the recordings. Sourced after lib.sh.
#
# Owns: /state/recordings-disk (partuuid=UUID or none, what=a description for people). It lies beside the generations, since
# which disk a box has does not change with its version. Must never: take a disk for this box's because it looks like it.
#
# The root is the one thing that is known to come from this box's disk: dm-verity's device (dm-0) names the partition that it
# reads. Partition names, and for one version of the image even the UUIDs, are the same on every disk that Audyn was written to.

SYSBLOCK=$R/sys/class/block
BYPARTUUID=$R/dev/disk/by-partuuid
RECORDINGS_MEMORY=$STATE/recordings-disk

# partition_name NAME: the name in the partition table of the kernel's NAME (sda7); nothing for a whole disk.
partition_name() { sed -n 's/^PARTNAME=//p' "$SYSBLOCK/$1/uevent" 2>/dev/null; }

# partitions LABEL: the kernel's names of the partitions that are called so.
partitions() {
  for _block in "$SYSBLOCK"/*; do
    if [ "$(partition_name "${_block##*/}")" = "$1" ]; then echo "${_block##*/}"; fi
  done
}

# disk_of PARTITION: the kernel's name of the disk that it is on.
disk_of() { basename "$(readlink -f "$SYSBLOCK/$1/..")"; }

# root_disk: the kernel's name of the disk that the running root is read from.
root_disk() {
  for _slave in "$SYSBLOCK"/dm-0/slaves/*; do
    if [ -e "$SYSBLOCK/${_slave##*/}/partition" ]; then
      disk_of "${_slave##*/}"
      return 0
    fi
  done
  return 1
}

# own_device LABEL: the device of the partition of this name on this box's disk. /dev/audyn is the same by udev (70-audyn-own.rules).
own_device() {
  if _own_disk=$(root_disk); then
    for _name in $(partitions "$1"); do
      if [ "$(disk_of "$_name")" = "$_own_disk" ]; then
        echo "$R/dev/$_name"
        return 0
      fi
    done
  fi
  echo "$R/dev/audyn/$1"
}

# root_by_uuid: whether the boot loader named the root by its partition's UUID. By name (a Raspberry Pi, and a GRUB that can't tell
# UUIDs), the kernel takes the first disk that has one of that name.
root_by_uuid() { grep -q 'dm-mod\.create=.* verity 1 PARTUUID=' "$R/proc/cmdline" 2>/dev/null; }

# identity_of NAME: what the box tells this partition by: by its UUID where the root was named so, else by its name.
identity_of() {
  if root_by_uuid; then
    _uuid=$(udevadm info --query=property "$SYSBLOCK/$1" 2>/dev/null | sed -n 's/^ID_PART_ENTRY_UUID=//p')
    if [ -n "$_uuid" ]; then echo "$_uuid" && return; fi
  fi
  partition_name "$1"
}

# audyn_disks: fails if no partition of ours can be taken for another; else prints the disks that have them, in one line. Disks of
# different versions differ by their partitions' UUIDs; two that one image was written to don't.
audyn_disks() {
  _ours=$(for _block in "$SYSBLOCK"/*; do
    case $(partition_name "${_block##*/}") in
      esp | kernel.[01] | rootfs.[01] | state) echo "$(identity_of "${_block##*/}") $(disk_of "${_block##*/}")" ;;
    esac
  done)
  [ -n "$(printf '%s\n' "$_ours" | cut -d ' ' -f 1 | sort | uniq -d)" ] || return 1
  printf '%s\n' "$_ours" | cut -d ' ' -f 2 | sort -u | tr '\n' ' ' | sed 's/ $//; s/ /, /g'
}

# partuuid_of NAME: of a partition, as udev's links say.
partuuid_of() {
  for _link in "$BYPARTUUID"/*; do
    if [ "$(readlink -f "$_link")" = "$(readlink -f "$R/dev/$1")" ]; then
      echo "${_link##*/}"
      return 0
    fi
  done
  return 1
}

# disk_words NAME: a disk in words, so that a person finds it: "51 GB, Spinning Rust".
disk_words() {
  _model=$(tr -s ' ' <"$SYSBLOCK/$1/device/model" 2>/dev/null | sed 's/ $//')
  printf '%s GB%s\n' "$(($(cat "$SYSBLOCK/$1/size") / 1953125))" "${_model:+, $_model}"
}

# ---- the remembered disk ---------------------------------------------------------------------------------------------

# recordings_remembered: the UUID of its partition; "none" if a person said so; nothing if nothing is known.
recordings_remembered() {
  _uuid=$(word "$(field "$RECORDINGS_MEMORY" partuuid)")
  case $_uuid in
    none) echo none ;;
    ????????-????-????-????-????????????) echo "$_uuid" ;;
  esac
}

# recordings_words: the remembered disk in words.
recordings_words() { field "$RECORDINGS_MEMORY" what | tr -cd 'A-Za-z0-9 .,_+/-' | cut -c 1-60; }

# recordings_remember UUID WHAT
recordings_remember() { printf 'partuuid=%s\nwhat=%s\n' "$1" "$2" | put "$RECORDINGS_MEMORY"; }

# recordings_adopt: nothing is remembered, but one prepared disk is there: it is from now on.
recordings_adopt() {
  [ -z "$(recordings_remembered)" ] || return 1
  _found=$(partitions recordings-disk)
  [ "$(printf '%s\n' "$_found" | wc -w)" = 1 ] || return 1
  _adopted=$(partuuid_of "$_found") || return 1
  recordings_remember "$_adopted" "$(disk_words "$(disk_of "$_found")")"
}
