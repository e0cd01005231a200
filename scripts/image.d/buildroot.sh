# shellcheck shell=bash
# An image for boxes, built by Buildroot with buildroot-external. Sourced by scripts/image, never run.
#
# Everything is built from source, the compiler first: hours, and some 25 GB under $CACHE/buildroot. What was built once
# stays there for the next time, but a release is always built from nothing.
#
#   AUDYN_BUILDROOT_SHA256   the sha256 of the release's archive, when Buildroot is to be fetched (see below)
#   BR2_DL_DIR               where the sources are kept; $CACHE/buildroot/dl otherwise
#
# Must never: build from an archive or a source that wasn't verified, or copy a signing key.

BUILDROOT_VERSION=2026.08
BUILDROOT_SITE=https://buildroot.org/downloads

# buildroot_tree: sets BUILDROOT to a tree of the pinned version, the one that was named or a verified one in the cache.
buildroot_tree() {
  local have
  [ -n "$BUILDROOT" ] || buildroot_fetch
  if [ ! -f "$BUILDROOT/Makefile" ] || [ ! -d "$BUILDROOT/support" ]; then fail "$BUILDROOT is no Buildroot tree"; fi
  have=$(sed -n 's/^export BR2_VERSION := //p' "$BUILDROOT/Makefile")
  case "$have" in
    "$BUILDROOT_VERSION" | "$BUILDROOT_VERSION".*) ;;
    "$BUILDROOT_VERSION"-*)
      [ "$KIND" != release ] || fail "$BUILDROOT is Buildroot $have, and a release is built with $BUILDROOT_VERSION"
      say "Buildroot $have instead of $BUILDROOT_VERSION: fine for trying, not for a release."
      ;;
    *) fail "$BUILDROOT is Buildroot ${have:-of an unknown version}; buildroot-external is made for $BUILDROOT_VERSION" ;;
  esac
}

# buildroot_fetch: the release's archive. Its checksum is published in a file that Buildroot's maintainer signs; which one
# it is was not known where this was written, so a person says it once, who has looked (buildroot-external/README.md).
buildroot_fetch() {
  local archive=$CACHE/buildroot/buildroot-$BUILDROOT_VERSION.tar.xz wanted=${AUDYN_BUILDROOT_SHA256:-}
  BUILDROOT=$CACHE/buildroot/buildroot-$BUILDROOT_VERSION
  [ ! -e "$BUILDROOT/.complete" ] || return 0
  [[ $wanted =~ ^[0-9a-f]{64}$ ]] || fail "Buildroot $BUILDROOT_VERSION has to be fetched, and the sha256 of its archive isn't known here: take it from" \
    "$BUILDROOT_SITE/buildroot-$BUILDROOT_VERSION.tar.xz.sign, after gpg --verify, and set AUDYN_BUILDROOT_SHA256 to it; or name a tree with --buildroot"
  mkdir -p "$CACHE/buildroot"
  if [ ! -e "$archive" ]; then
    need_command curl curl
    say "Fetching Buildroot $BUILDROOT_VERSION…"
    curl --fail --silent --show-error --location --output "$archive.part" "$BUILDROOT_SITE/buildroot-$BUILDROOT_VERSION.tar.xz" ||
      fail "Buildroot could not be fetched; see above"
    mv "$archive.part" "$archive"
  fi
  if ! sha256sum --check --status - <<<"$wanted  $archive"; then
    mv "$archive" "$archive.refused"
    fail "the archive of Buildroot isn't the one whose sha256 AUDYN_BUILDROOT_SHA256 names; it lies in $archive.refused"
  fi
  rm -rf "$BUILDROOT.part"
  mkdir "$BUILDROOT.part"
  tar -C "$BUILDROOT.part" --strip-components=1 -xf "$archive"
  touch "$BUILDROOT.part/.complete"
  mv "$BUILDROOT.part" "$BUILDROOT"
}

# buildroot_make TARGET…: in the board's output directory, with what post-build and post-image are to know.
buildroot_make() {
  env -u KBUILD_OUTPUT AUDYN_RELEASE="$BUILDROOT_WORK/release" AUDYN_SYSTEM_CONF="$BUILDROOT_WORK/system.conf" AUDYN_OUT="$OUT" \
    AUDYN_KEY="$KEY" AUDYN_CERT="$CERT" AUDYN_KEYRING="$KEYRING" AUDYN_INTERMEDIATE="$(printf '%s\n' "${INTERMEDIATE[@]}")" \
    AUDYN_ASSEMBLE="$([ -n "$XZ" ] || printf %s --no-xz)" RAUC_PKCS11_MODULE="${AUDYN_PKCS11_MODULE:-}" \
    make -C "$BUILDROOT" --no-print-directory BR2_EXTERNAL="$REPO/buildroot-external" O="$BUILDROOT_OUT" "$@"
}

# buildroot_forget: what an earlier build installed. Buildroot never takes a file out of a root, and does not see that the
# sources of a local package changed.
buildroot_forget() {
  if [ "$KIND" = release ]; then
    rm -rf "$BUILDROOT_OUT"
  elif [ -d "$BUILDROOT_OUT/build" ]; then
    rm -rf "$BUILDROOT_OUT/target" "$BUILDROOT_OUT/images"
    find "$BUILDROOT_OUT/build" -maxdepth 2 \( -name .stamp_target_installed -o -name .stamp_images_installed \) -delete
    rm -f "$BUILDROOT_OUT"/build/host-gcc-final-*/.stamp_host_installed
    find "$BUILDROOT_OUT/build" -maxdepth 2 -path '*/audyn-*/.stamp_*' -delete
  fi
}

# buildroot_build: the defconfig whole or not at all; then everything. The log has all of it, the screen the steps.
buildroot_build() {
  local log=$BUILDROOT_OUT/build.log defconfig=audyn_${BOARD//-/_}_defconfig
  mkdir -p "$BUILDROOT_OUT" "$BR2_DL_DIR"
  buildroot_make "$defconfig" >"$log" 2>&1 || fail "Buildroot took no configuration $defconfig: see $log"
  python3 "$BUILDROOT/support/scripts/check-dotconfig.py" "$BUILDROOT_OUT/.config" "buildroot-external/configs/$defconfig" ||
    fail "this Buildroot drops the symbols above"
  say "Building; everything that is said goes to $log"
  if ! buildroot_make all 2>&1 | tee -a "$log" | sed -n 's/\x1b\[[0-9;]*m//g; s/^>>> \(.*\)/  \1/p; /^FAILED: /p'; then
    fail "the build failed; the reason is at the end of $log"
  fi
}

# buildroot_lists: the parts (SBOM) and the licences, of Buildroot's packages, our crates and the page's packages.
buildroot_lists() {
  local work=$BUILDROOT_WORK schema=$BR2_DL_DIR/cyclonedx/spdx-1.6.schema.json
  buildroot_make -s show-info >"$work/info.json" || fail "Buildroot lists no packages; see above"
  if ! python3 "$BUILDROOT/utils/generate-cyclonedx" <"$work/info.json" >"$work/buildroot.json" 2>"$work/sbom.log"; then
    # It wants a list of licence names from the network, once. Without it, names are given as names instead of as SPDX ids.
    [ ! -e "$schema" ] || fail "no SBOM could be made: $(tail -n 1 "$work/sbom.log")"
    mkdir -p "$work/offline/cyclonedx"
    printf '{"enum": []}\n' >"$work/offline/cyclonedx/${schema##*/}"
    BR2_DL_DIR=$work/offline python3 "$BUILDROOT/utils/generate-cyclonedx" <"$work/info.json" >"$work/buildroot.json" ||
      fail "no SBOM could be made; see above"
    skip "licence names as SPDX ids in $NAME.sbom" "the list of ids could not be fetched"
  fi
  python3 buildroot-external/sbom --board "$BOARD" --version "$VERSION" --epoch "$SOURCE_DATE_EPOCH" --buildroot "$work/buildroot.json" \
    --crates "$BUILDROOT_OUT/images/crates" --npm webd/ui/package-lock.json --out "$OUT/$NAME.sbom" --licences "$OUT/$NAME.licences.txt" ||
    fail "the list of parts could not be made; see above"
  # Licence texts and the list of sources; the sources themselves are gigabytes, and stay in legal-info/ for who must pass them on.
  buildroot_make legal-info >"$work/legal.log" 2>&1 || fail "legal-info failed: $(tail -n 1 "$work/legal.log")"
  tar -C "$BUILDROOT_OUT" --sort=name --owner=0 --group=0 --mtime="@$SOURCE_DATE_EPOCH" --exclude='*/sources' --exclude='*/host-sources' \
    -cJf "$OUT/$NAME.legal-info.tar.xz" legal-info
  (cd "$OUT" && sha256sum "$NAME.sbom" "$NAME.licences.txt" "$NAME.legal-info.tar.xz" >>"$NAME.sha256")
}

# buildroot_image: everything, from the variables that scripts/image set.
buildroot_image() {
  [ -z "$BINARIES" ] || fail "--binaries is for the lab: Buildroot builds everything itself"
  [ -z "$TRUST" ] || fail "--trust is for the lab"
  case "$REPO$CACHE" in *[[:space:]]*) fail "Buildroot can't work where a path has a space in it: $REPO, $CACHE" ;; esac
  # Judged before anything is installed; fetched, if it must be, by what is here.
  buildroot_tree
  need_packages build-essential bc cpio file perl python3 rsync unzip wget xz-utils libncurses-dev openssl
  BUILDROOT_OUT=$CACHE/buildroot/$BOARD
  export BR2_DL_DIR=${BR2_DL_DIR:-$CACHE/buildroot/dl}
  # Some packages refuse to be configured by root, lest somebody forgot it.
  if [ "$(id -u)" -eq 0 ]; then export FORCE_UNSAFE_CONFIGURE=1; fi
  umask 022
  need_node
  build_page >/dev/null || fail "the page could not be built; see above"
  mkdir -p "$CACHE/buildroot"
  BUILDROOT_WORK=$(mktemp -d "$CACHE/buildroot/work.XXXXXX")
  # shellcheck disable=SC2064  # the directory as it is called now
  trap "rm -rf '$BUILDROOT_WORK'" EXIT
  write_release "$BUILDROOT_WORK/release"
  fill_system_conf "$BUILDROOT_WORK/system.conf"
  buildroot_forget
  buildroot_build
  buildroot_lists
}
