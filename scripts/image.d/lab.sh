# shellcheck shell=bash
# The lab image: the appliance's payload on Debian 13's kernel and systemd. Sourced by scripts/image after common.sh.
#
# Three layers, each made only when what it is made of has changed: the Debian root (cached by package versions and the
# lists in board/lab), Audyn's files in a copy of it, and what board/common/assemble makes of that.

LAB_BASE=

lab_arch() { # lab_arch BOARD: sets the names that each world has for the architecture
  case "$1" in
    lab-x86_64) DEB_ARCH=amd64 GRUB_PLATFORM=x86_64-efi RUST_TARGET=x86_64-unknown-linux-gnu ;;
    lab-aarch64) DEB_ARCH=arm64 GRUB_PLATFORM=arm64-efi RUST_TARGET=aarch64-unknown-linux-gnu ;;
    *) fail "no lab image is called $1" ;;
  esac
}

# lab_base: makes or finds Debian's part; sets LAB_BASE.
lab_base() {
  local packages files key started=$SECONDS list=$CACHE/apt/$DEB_ARCH/resolved
  mapfile -t packages < <(sed 's/[[:space:]]*#.*//; /^[[:space:]]*$/d' board/lab/packages)
  packages+=("linux-image-rt-$DEB_ARCH")
  mkdir -p "$(dirname "$list")" "$CACHE/lab"
  apt_resolve "$DEB_ARCH" "${packages[@]}" >"$list.$$"
  mv "$list.$$" "$list"
  mapfile -t files < <(awk '{ print $2 }' "$list")
  [ ${#files[@]} -gt 20 ] || fail "apt did not say what the packages in board/lab/packages need"
  key=$({ printf '%s\n' "${files[@]}" && cat board/lab/{packages,left-out,modules,init} scripts/image.d/{lab-root,needed.py}; } | sha256sum | cut -c1-12)
  LAB_BASE=$CACHE/lab/$DEB_ARCH-$key
  [ ! -e "$LAB_BASE/.complete" ] || return 0
  exec 7>"$CACHE/lab/lock"
  flock 7
  if [ ! -e "$LAB_BASE/.complete" ]; then
    say "Taking Debian's packages apart for the $DEB_ARCH lab root (once for these versions)…"
    run_in_tools apt-get install -qq -y --download-only "${packages[@]}"
    as_root rm -rf --one-file-system "$LAB_BASE.partial"
    run_in_tools scripts/image.d/lab-root base "$DEB_ARCH" "$LAB_BASE.partial" "${files[@]/#/$CACHE/apt/$DEB_ARCH/archives/}"
    as_root touch "$LAB_BASE.partial/.complete"
    as_root mv "$LAB_BASE.partial" "$LAB_BASE"
    lab_prune
    say "Debian's part made in $((SECONDS - started)) s: $(as_root du -sh "$LAB_BASE/root" | cut -f1)."
  fi
  exec 7>&-
}

# lab_prune: keeps the three newest bases of this architecture, and what a run that was killed left for a day.
lab_prune() {
  local old
  while read -r old; do as_root rm -rf --one-file-system "$old"; done < <(
    find "$CACHE/lab" -mindepth 1 -maxdepth 1 -type d -name "$DEB_ARCH-*" ! -name '*.partial' -printf '%T@ %p\n' | sort -rn | tail -n +4 | cut -d' ' -f2-
    find "$CACHE/lab" "$CACHE" -mindepth 1 -maxdepth 1 -type d \( -name '*.partial' -o -name 'work.*' \) -mtime +0
  )
}

# lab_binaries DIR: sets LAB_BINARIES to DIR, or builds for this machine.
lab_binaries() {
  local name
  LAB_BINARIES=$1
  if [ -z "$LAB_BINARIES" ]; then
    [ "$DEB_ARCH" = "$HOST_ARCH" ] || fail "this machine has no $DEB_ARCH binaries: cross-compile them and name their directory with --binaries DIR"
    need_rust
    need_node
    build_page >/dev/null || fail "the page could not be built; see above"
    cargo build --quiet --locked --release -p audyn-cli -p audyn-daemon -p audyn-webd || fail "the build failed; see above"
    LAB_BINARIES=$REPO/target/release
  fi
  for name in audyn audyn-engine audyn-webd; do
    [ -x "$LAB_BINARIES/$name" ] || fail "$LAB_BINARIES has no $name"
  done
}

# lab_image: everything, from the variables that scripts/image set.
lab_image() {
  local work release extra=()
  lab_arch "$BOARD"
  need_tools
  lab_base
  lab_binaries "$BINARIES"
  TOOLS_BIND+=("$LAB_BINARIES" "$OUT" "${KEY_BINDS[@]}")
  work=$(mktemp -d "$CACHE/work.XXXXXX")
  # shellcheck disable=SC2064  # the directory as it is called now
  trap "as_root rm -rf --one-file-system '$work'" EXIT
  release=$work/release
  write_release "$release"
  fill_system_conf "$work/system.conf"
  run_in_tools env LAB_BINARIES="$LAB_BINARIES" LAB_RELEASE="$release" LAB_SYSTEM_CONF="$work/system.conf" LAB_KEYRING="${TRUST:-$KEYRING}" \
    scripts/image.d/lab-root finish "$LAB_BASE" "$work/tree"
  mkdir -p "$work/stage"
  cp "$LAB_BASE/vmlinuz" "$LAB_BASE/initrd" "$work/stage/"
  if [ -n "$MUTATE" ]; then
    TOOLS_BIND+=("$MUTATE")
    # shellcheck disable=SC2016  # the inner shell expands it
    run_in_tools sh -c 'cd "$1/tree/root" && exec sh -e "$2" "$1/stage"' mutate "$work" "$MUTATE"
  fi
  run_in_tools mkfs.erofs --quiet -T "$SOURCE_DATE_EPOCH" -U "$(uuid_of "root $BOARD $VERSION")" -x-1 -E^inline_data \
    "$work/stage/rootfs.erofs" "$work/tree/root" || fail "mkfs.erofs: see above"
  [ -n "$XZ" ] || extra+=(--no-xz)
  [ -z "$BUNDLE_ONLY" ] || extra+=(--bundle-only)
  run_in_tools board/common/assemble --board "$BOARD" --version "$VERSION" --kind "$KIND" --platform "$GRUB_PLATFORM" \
    --cmdline board/common/cmdline --cmdline "board/lab/cmdline.${BOARD#lab-}" \
    --kernel "$work/stage/vmlinuz" --initrd "$work/stage/initrd" --rootfs "$work/stage/rootfs.erofs" \
    --grub-dir "/usr/lib/grub/$GRUB_PLATFORM" --bundle-compression lz4 \
    --key "$KEY" --cert "$CERT" --keyring "$KEYRING" "${INTERMEDIATE[@]}" --work "$work/assemble" --out "$OUT" "${extra[@]}"
  if [ -z "$BUNDLE_ONLY" ]; then lab_sbom; fi
}

lab_sbom() {
  # shellcheck disable=SC2153  # NAME is scripts/image's
  python3 scripts/image.d/sbom.py --board "$BOARD" --version "$VERSION" --epoch "$SOURCE_DATE_EPOCH" --dpkg "$LAB_BASE/status" \
    --copyright "$LAB_BASE/copyright" --cargo-target "$RUST_TARGET" --npm webd/ui/package-lock.json \
    --out "$OUT/$NAME.sbom" --licences "$OUT/$NAME.licences.txt" || fail "the list of parts could not be made; see above"
}
