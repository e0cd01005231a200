# shellcheck shell=bash
# What the image scripts share: the cache, the chroot of Debian 13 tools and running things in it, and Debian packages
# of any architecture taken apart without being installed. Sourced after scripts/lib.sh, never run.
#
# Must never: name a package mirror (the machine's own apt knows one), change what is installed on the machine beyond
# mmdebstrap and its keyring, or leave a half-made directory under a name that later runs trust.

SUITE=trixie
TOOLS_PACKAGES=(
  # the disk, the roots, the boot loader and the bundles
  genimage mtools dosfstools e2fsprogs erofs-utils squashfs-tools cryptsetup-bin grub-common rauc openssl gdisk
  cpio xz-utils zstd kmod fakeroot python3
  # what acts on a root of any architecture from outside: sysusers, presets, units' verdicts, apt
  systemd systemd-repart debian-archive-keyring dbus-daemon
  # signing with keys that stay in a token
  opensc pkcs11-provider softhsm2
  # the machines that boot the image
  qemu-system-x86 qemu-system-arm qemu-utils qemu-user ovmf qemu-efi-aarch64
)

CACHE=${AUDYN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/audyn}
OWNER=$(id -u):$(id -g)
HOST_ARCH=
TOOLS=
TOOLS_LOG=
REPO=$PWD

# need_rights: whether this user may chroot and mount, now and for the rest of the script.
need_rights() {
  [ "$(id -u)" -ne 0 ] || return 0
  command -v sudo >/dev/null || fail "an image is made in a chroot, which only root may enter, and there is no sudo: run this as root"
  as_root true
}

# debian_mirror: prints sources lines for $SUITE with the mirror that this machine's apt uses for Debian.
debian_mirror() {
  local uris main security
  if [ -n "${AUDYN_DEBIAN_MIRROR:-}" ]; then
    printf 'deb %s %s main\n' "$AUDYN_DEBIAN_MIRROR" "$SUITE"
    return
  fi
  command -v apt-get >/dev/null || fail "there is no apt here to take a Debian mirror from: set AUDYN_DEBIAN_MIRROR to one (http://…/debian)"
  uris=$(apt-get --print-uris update 2>/dev/null | sed -n "s/^'\([^']*\)\/dists\/\([^']*\)\/InRelease' .*/\1 \2/p")
  main=$(awk '$2 ~ /^(bullseye|bookworm|trixie|forky|sid|oldstable|stable|testing|unstable)$/ { print $1; exit }' <<<"$uris")
  security=$(awk '$2 ~ /^[a-z]+-security$/ { print $1; exit }' <<<"$uris")
  [ -n "$main" ] || fail "this machine's apt has no Debian mirror (is it another distribution?): set AUDYN_DEBIAN_MIRROR to one (http://…/debian)"
  printf 'deb %s %s main\ndeb %s %s-updates main\n' "$main" "$SUITE" "$main" "$SUITE"
  if [ -n "$security" ]; then printf 'deb %s %s-security main\n' "$security" "$SUITE"; fi
}

# machine_apt_options: how this machine reaches its mirror (proxies and the like), as apt.conf lines.
machine_apt_options() {
  apt-config dump 2>/dev/null | grep -E '^Acquire::(http|https|Check-|Retries|ForceIPv)' || true
  printf 'APT::Install-Recommends "false";\nAcquire::Languages "none";\nAPT::Sandbox::User "root";\n'
}

# need_tools: makes the chroot of tools if it isn't there; afterwards $TOOLS is its path.
need_tools() {
  local wanted started=$SECONDS
  need_rights
  need_command dpkg dpkg
  HOST_ARCH=$(dpkg --print-architecture)
  wanted=$(printf '%s\n' "$SUITE" "$HOST_ARCH" "${TOOLS_PACKAGES[@]}" grub-efi-both-1 | sha256sum | cut -c1-12)
  TOOLS=$CACHE/tools-$wanted
  mkdir -p "$CACHE"
  [ ! -e "$TOOLS/.complete" ] || return 0
  exec 8>"$CACHE/tools.lock"
  flock -n 8 || { say "Another run makes the tools; waiting…" >&2 && flock 8; }
  if [ ! -e "$TOOLS/.complete" ]; then
    TOOLS_LOG=$CACHE/tools.log
    say "Making a chroot of Debian 13 tools in $TOOLS (once; about a minute and 1.3 GB)…" >&2
    make_tools >"$TOOLS_LOG" 2>&1 || fail "the tools could not be made; the reason is at the end of $TOOLS_LOG: $(tail -n 2 "$TOOLS_LOG" | tr '\n' ' ')"
    say "Tools made in $((SECONDS - started)) s." >&2
  fi
  exec 8>&-
}

make_tools() {
  local partial=$TOOLS.partial foreign=arm64 extra options
  need_packages mmdebstrap debian-archive-keyring
  as_root rm -rf --one-file-system "$partial"
  options=$(mktemp)
  machine_apt_options >"$options"
  extra=grub-efi-amd64-bin
  if [ "$HOST_ARCH" = arm64 ]; then extra=grub-efi-arm64-bin foreign=amd64; fi
  debian_mirror | as_root mmdebstrap --variant=minbase --mode=root --aptopt="$options" \
    --include="$(IFS=,; printf %s "${TOOLS_PACKAGES[*]},$extra")" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --skip=cleanup/apt/lists "$SUITE" "$partial" -
  rm -f "$options"
  # The boot loader's modules for the other architecture are in a package of that architecture: only taken apart.
  TOOLS=$partial
  apt_fetch "$foreign" "grub-efi-$foreign-bin"
  as_root dpkg-deb --fsys-tarfile "$CACHE/apt/$foreign/archives/grub-efi-$foreign-bin"_*.deb |
    as_root tar -x -C "$partial" ./usr/lib/grub
  TOOLS=${partial%.partial}
  as_root touch "$partial/.complete"
  as_root mv "$partial" "$TOOLS"
}

# run_in_tools COMMAND…: in the chroot, as root, with mounts of its own: proc, sys, a /dev of the few nodes that
# anything needs (a bound host /dev can lose its modes), and at the same paths as outside the repository, the cache
# and what $TOOLS_BIND holds. The working directory stays, where it is one of those; $TOOLS_AS=UID:GID drops root.
run_in_tools() {
  as_root unshare --mount --propagation private env \
    TOOLS="$TOOLS" TOOLS_AS="${TOOLS_AS:-}" TOOLS_CWD="$PWD" TOOLS_ENV="$(tools_env)" \
    bash "$REPO/scripts/image.d/in-tools" "$REPO" "$CACHE" "${TOOLS_BIND[@]}" -- "$@"
}
TOOLS_BIND=()

# tools_env: the few variables that a command in the tools may know.
tools_env() {
  local name
  for name in SOURCE_DATE_EPOCH TERM APT_CONFIG AUDYN_CACHE AUDYN_KEYS AUDYN_PKCS11_MODULE RAUC_PKCS11_MODULE SOFTHSM2_CONF LC_ALL; do
    if [ -n "${!name:-}" ]; then printf '%s=%s\n' "$name" "${!name}"; fi
  done
}

# apt_setup ARCH: an apt of its own for that architecture, under $CACHE/apt/ARCH; sets APT_CONFIG.
apt_setup() {
  local arch=$1 dir=$CACHE/apt/$1 lines
  mkdir -p "$dir"/{state/lists/partial,cache,archives/partial}
  : >"$dir/status"
  lines=$(debian_mirror)
  sed 's/^deb /deb [signed-by=\/usr\/share\/keyrings\/debian-archive-keyring.gpg] /' <<<"$lines" >"$dir/sources.list"
  {
    machine_apt_options
    cat <<CONF
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
Dir::State "$dir/state";
Dir::State::status "$dir/status";
Dir::Cache "$dir/cache";
Dir::Cache::archives "$dir/archives";
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "-";
CONF
  } >"$dir/apt.conf"
  export APT_CONFIG=$dir/apt.conf
}

# apt_update ARCH: fetches the lists when they are older than a day, or when $REFRESH is set.
apt_update() {
  local stamp=$CACHE/apt/$1/updated
  apt_setup "$1"
  if [ -z "${REFRESH:-}" ] && [ -n "$(find "$stamp" -mtime -1 2>/dev/null)" ]; then return; fi
  if run_in_tools apt-get update -qq; then
    touch "$stamp"
  elif [ -e "$stamp" ]; then
    say "The package lists could not be renewed; going on with those of $(date -r "$stamp" +%F)." >&2
  else
    fail "apt-get update for $1 failed: see above"
  fi
}

# apt_resolve ARCH PACKAGE…: prints what these packages and their dependencies are: URI FILE SIZE HASH a line.
apt_resolve() {
  local arch=$1
  shift
  apt_update "$arch"
  mkdir -p "$CACHE/apt/$arch/nothing/partial" # apt leaves out what its archive directory holds already
  run_in_tools apt-get install -qq -y -o Dir::Cache::archives="$CACHE/apt/$arch/nothing" --print-uris "$@" | tr -d "'" | sort -k 2
}

# apt_fetch ARCH PACKAGE…: puts these packages, without their dependencies, into $CACHE/apt/ARCH/archives.
apt_fetch() {
  local arch=$1 dir=$CACHE/apt/$1/archives
  shift
  apt_update "$arch"
  (cd "$dir" && run_in_tools apt-get download -qq "$@")
}

# give_back PATH…: what root made under sudo belongs to who called.
give_back() {
  [ "$(id -u)" -eq 0 ] || as_root chown -R "$OWNER" "$@"
}
