# shellcheck shell=bash
# What every board's `assemble` shares: options, the root and its verity tree, file systems, the disk, the bundle, checksums.
# Sourced, never run. A board's `assemble` sets HERE, sources this, and then
#
#   options NAME… -- "$@"     reads the command line: the options below, and those of the board's own that it names
#   make_kernel, make_esp     defines these two: what the board's boot loader reads in the slot, and what on the disk
#   assemble_all              makes everything
#
# The options of every board; each sets the variable of its name:
#   --board BOARD --version V        names; the bundle's `compatible` is audyn-BOARD
#   --kind KIND                      development, release or lab
#   --kernel FILE                    as the board's boot loader loads it
#   --rootfs FILE                    the erofs image; a copy of it gets its verity tree appended
#   --cmdline FILE…                  command lines, joined in this order; `#` begins a comment
#   --key F --cert F --keyring F     of the bundle (files or PKCS#11 URIs); --intermediate F as well
#   --bundle-compression NAME        mksquashfs' compressor; gzip unless said, which every kernel reads
#   --out DIR [--work DIR]           results; scratch space (otherwise under TMPDIR)
#   --bundle-only, --no-bundle       half of it
#   --no-xz                          leave the disk image as it is, for a virtual machine
#
# The tools are PATH's: veritysetup, mkfs.fat, mcopy, mke2fs, genimage, rauc with mksquashfs, xz, sha256sum. Neither root nor a
# loop device is needed. The same input gives the same disk, byte for byte (SOURCE_DATE_EPOCH); a bundle differs by its
# signature's time.
#
# Must never: mount anything, ask the network, or name a key of its own.

COMMON=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BOARD='' VERSION='' KIND=development KERNEL='' ROOTFS='' KEY='' CERT='' KEYRING='' BUNDLE_COMPRESSION=gzip OUT='' WORK='' DISK=1 BUNDLE=1
CMDLINE=() INTERMEDIATE=()
# The lowest level: four times faster than the usual one, for a few MB more.
XZ=-1
# The kernel slot in the bundle, by which RAUC tells its kind.
KERNEL_IMAGE=kernel.img
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-0} LC_ALL=C TZ=UTC MTOOLS_SKIP_CHECK=1

# What each partition may hold. The layout has these as sizes; an update that doesn't fit must fail here, not on a box.
SLOT_ROOT=$((512 << 20))
SLOT_KERNEL=$((64 << 20))

die() {
  printf 'FAILED: assemble: %s\n' "$*" >&2
  exit 1
}

# options NAME… -- ARGUMENT…: --some-name VALUE sets SOME_NAME, which is one of the common ones or of these.
options() {
  local name known=' BOARD VERSION KIND KERNEL ROOTFS CMDLINE KEY CERT KEYRING INTERMEDIATE BUNDLE_COMPRESSION OUT WORK '
  while [ "$1" != -- ]; do
    known+="$1 "
    shift
  done
  shift
  while [ $# -gt 0 ]; do
    case "$1" in
      --bundle-only) DISK='' ;;
      --no-bundle) BUNDLE='' ;;
      --no-xz) XZ='' ;;
      --*)
        name=${1#--} name=${name^^} name=${name//-/_}
        case "$known" in *" $name "*) ;; *) die "unknown option $1" ;; esac
        [ $# -ge 2 ] || die "$1 wants a value"
        case "$name" in
          CMDLINE) CMDLINE+=("$2") ;;
          INTERMEDIATE) INTERMEDIATE+=("--intermediate=$2") ;;
          *) printf -v "$name" %s "$2" ;;
        esac
        shift
        ;;
      *) die "unknown argument $1" ;;
    esac
    shift
  done
  required BOARD VERSION KERNEL ROOTFS OUT
  existing "$KERNEL" "$ROOTFS"
  [ ${#CMDLINE[@]} -gt 0 ] || die "--cmdline is missing"
  if [ -n "$BUNDLE" ] && { [ -z "$KEY" ] || [ -z "$CERT" ]; }; then die "a bundle wants --key and --cert; --no-bundle makes none"; fi
}

# required NAME…: options that must have been given.
required() {
  local name
  for name in "$@"; do
    [ -n "${!name}" ] || die "--$(tr 'A-Z_' 'a-z-' <<<"$name") is missing"
  done
}

# existing FILE…: files that must be there, and not empty.
existing() {
  local file
  for file in "$@"; do
    [ -s "$file" ] || die "there is no $file"
  done
}

# Identifiers come of what they name, so that a build repeated is the same build.
digest() { printf '%s' "$1" | sha256sum | cut -d' ' -f1; }
uuid() {
  local d
  d=$(digest "$BOARD $VERSION $1")
  printf '%s-%s-4%s-8%s-%s' "${d:0:8}" "${d:8:4}" "${d:13:3}" "${d:17:3}" "${d:20:12}"
}
volume_id() { digest "$BOARD $VERSION $1" | cut -c1-8; }

# words FILE…: command lines as one.
words() { sed 's/#.*//' "$@" | tr -s ' \t\n' ' ' | sed 's/^ //; s/ $//'; }

# make_fat IMAGE NAME LABEL KIB DIRECTORY OPTION…: a FAT of that directory's content; its volume id comes of NAME.
make_fat() {
  local image=$1 name=$2 label=$3 size=$4 from=$5
  shift 5
  find "$from" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
  rm -f "$image"
  mkfs.fat --invariant -i "$(volume_id "$name")" -n "$label" "$@" -C "$image" "$size" >/dev/null
  mcopy -s -m -i "$image" "$from"/* ::/
}

# say_what_it_is: a file in the kernel slot, so that scripts/flash and scripts/qemu know an image by what is in it.
say_what_it_is() { printf 'AUDYN_BOARD=%s\nAUDYN_VERSION=%s\nAUDYN_KIND=%s\n' "$BOARD" "$VERSION" "$KIND" >"$WORK/kernel/release"; }

# make_kernel_fat NAME KIB: the kernel slot, of $WORK/kernel. As small as it may be: RAUC writes every byte of it, and the
# partition is larger.
make_kernel_fat() {
  local name=$1 size=$2
  [ $((size * 1024)) -le "$SLOT_KERNEL" ] || die "what the kernel slot holds takes $((size >> 10)) MiB; a slot has $((SLOT_KERNEL >> 20))"
  make_fat "$WORK/bundle/$KERNEL_IMAGE" "$name" KERNEL "$size" "$WORK/kernel" -S 512 -s 4
}

# make_root: the root and its verity tree, which is behind the data, its superblock first. Sets what opens it: ROOT_HASH, SALT,
# SECTORS (of 512 bytes) and BLOCKS (of 4096) of data, HASH_START (in blocks).
# shellcheck disable=SC2034 # a board's make_kernel reads them
make_root() {
  local image=$WORK/bundle/rootfs.img size said
  cp --sparse=always "$ROOTFS" "$image"
  truncate -s %4096 "$image"
  size=$(stat -c %s "$image")
  BLOCKS=$((size / 4096))
  SECTORS=$((size / 512))
  HASH_START=$((BLOCKS + 1))
  SALT=$(digest "salt $(sha256sum <"$image")")
  said=$(veritysetup format --hash=sha256 --data-block-size=4096 --hash-block-size=4096 --data-blocks="$BLOCKS" --hash-offset="$size" \
    --salt="$SALT" --uuid="$(uuid verity)" "$image" "$image")
  ROOT_HASH=$(sed -n 's/^Root hash:[[:space:]]*//p' <<<"$said")
  [[ $ROOT_HASH =~ ^[0-9a-f]{64}$ ]] || die "veritysetup gave no root hash: $said"
  size=$(stat -c %s "$image")
  [ "$size" -le "$SLOT_ROOT" ] || die "the root takes $((size >> 20)) MiB with its hashes; a slot has $((SLOT_ROOT >> 20))"
}

# make_ext4 NAME MIB OPTION…: 4 KiB blocks and room to grow to any disk, whatever the size that it begins with.
make_ext4() {
  local name=$1 image=$WORK/input/$1.ext4 size=$2
  shift 2
  rm -f "$image"
  truncate -s "${size}M" "$image"
  mke2fs -q -F -t ext4 -T default -b 4096 -I 256 -L "$name" -U "$(uuid "$name")" \
    -E "hash_seed=$(uuid "$name seed"),lazy_itable_init=0,lazy_journal_init=0" "$@" "$image"
}

# make_disk: by the board's genimage.cfg.in, which names the files in $WORK/input.
make_disk() {
  local image=$OUT/$NAME.img line
  make_esp
  make_ext4 state 512 -m 5 -J size=16
  # Large files and one writer: few inodes. The journal doesn't grow with the file system, and 16 MiB is what fits 64.
  make_ext4 recordings 64 -m 1 -J size=16 -i 65536
  cp --sparse=always "$WORK/bundle/rootfs.img" "$WORK/input/rootfs.img"
  cp "$WORK/bundle/$KERNEL_IMAGE" "$WORK/input/kernel.vfat"
  sed -e "s|@IMAGE@|$NAME.img|; s|@DISK_UUID@|$(uuid disk)|" "$HERE/genimage.cfg.in" | while IFS= read -r line; do
    while [[ $line =~ @UUID:([a-z0-9.-]+)@ ]]; do line=${line/"${BASH_REMATCH[0]}"/$(uuid "partition ${BASH_REMATCH[1]}")}; done
    printf '%s\n' "$line"
  done >"$WORK/genimage.cfg"
  genimage --loglevel 0 --config "$WORK/genimage.cfg" --rootpath "$WORK/genimage/root" --tmppath "$WORK/genimage/tmp" \
    --inputpath "$WORK/input" --outputpath "$WORK/genimage/out" || die "genimage failed; see above"
  rm -f "$image" "$image.xz"
  mv "$WORK/genimage/out/$NAME.img" "$image"
  [ -z "$XZ" ] || xz -T0 "$XZ" "$image"
}

make_bundle() {
  local bundle=$OUT/$NAME.raucb keyring=()
  sed -e "s|@AUDYN_COMPATIBLE@|audyn-$BOARD|; s|@AUDYN_VERSION@|$VERSION|; s|@AUDYN_BOARD@|$BOARD|; s|@AUDYN_KIND@|$KIND|" \
    -e "s|^filename=kernel.*|filename=$KERNEL_IMAGE|" "$COMMON/rauc/manifest.raucm.in" >"$WORK/bundle/manifest.raucm"
  # RAUC looks at what it signed with the keyring, if it is given one: a wrong pair is found here.
  [ -z "$KEYRING" ] || keyring=(--keyring "$KEYRING")
  rm -f "$bundle"
  rauc --cert "$CERT" --key "$KEY" "${keyring[@]}" "${INTERMEDIATE[@]}" \
    --mksquashfs-args="-comp $BUNDLE_COMPRESSION -no-progress -quiet" bundle "$WORK/bundle" "$bundle" >"$WORK/rauc.log" 2>&1 ||
    die "rauc made no bundle: $(tail -n 3 "$WORK/rauc.log")"
}

make_checksums() (
  cd "$OUT" || exit
  made=()
  for file in "$NAME.img.xz" "$NAME.img" "$NAME.raucb"; do
    if [ -e "$file" ]; then made+=("$file"); fi
  done
  sha256sum "${made[@]}" >"$NAME.sha256"
)

assemble_all() {
  NAME=audyn-$BOARD-$VERSION
  mkdir -p "$OUT"
  if [ -z "$WORK" ]; then
    WORK=$(mktemp -d "${TMPDIR:-/tmp}/audyn-assemble.XXXXXX")
    trap 'rm -rf "$WORK"' EXIT
  fi
  rm -rf "${WORK:?}"/{bundle,esp,kernel,input,genimage}
  mkdir -p "$WORK"/{bundle,esp,kernel,input,genimage/root}
  make_root
  say_what_it_is
  make_kernel
  [ -z "$DISK" ] || make_disk
  [ -z "$BUNDLE" ] || make_bundle
  make_checksums
  printf 'root hash %s, root %d MiB with hashes, kernel slot %d MiB\n' "$ROOT_HASH" $(($(stat -c %s "$WORK/bundle/rootfs.img") >> 20)) \
    $(($(stat -c %s "$WORK/bundle/$KERNEL_IMAGE") >> 20))
}
