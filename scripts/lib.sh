# shellcheck shell=bash
# What scripts/ and .ci/run share: saying what happens, and having the tools that it takes. Sourced, never run.
#
# Must never: remove or upgrade what is installed, ask for a password unless a package is really missing, or
# name a package registry; apt, cargo, npm and pip use the ones that this machine is set up for.

say() { printf '%s\n' "$*"; }

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

# skip WHAT WHY: nothing is left out in silence; SKIP_LOG, if there is one, lets the outermost script count.
skip() {
  printf 'SKIPPED: %s: %s\n' "$1" "$2"
  if [ -n "${SKIP_LOG:-}" ]; then printf '%s: %s\n' "$1" "$2" >>"$SKIP_LOG"; fi
}

# stage NAME COMMAND…: runs it in a subshell, prints how long it took, ends the script if it fails. Not to be called
# in a condition (`if stage`, `stage ||`): bash would then ignore errors inside the command.
stage() {
  local name=$1 code started=$SECONDS
  shift
  printf '\n=== %s\n' "$name"
  set +e
  (
    set -e
    "$@"
  )
  code=$?
  set -e
  [ "$code" -eq 0 ] || fail "$name (exit code $code, after $((SECONDS - started)) s)"
  printf '=== %s: ok, %d s\n' "$name" "$((SECONDS - started))"
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif ! command -v sudo >/dev/null; then
    fail "packages must be installed, but there is no sudo: as root, run: $*"
  elif [ -t 0 ]; then
    sudo "$@"
  else
    sudo -n "$@" || fail "packages must be installed and sudo wants a password: run: sudo $*"
  fi
}

apt_install() {
  local quiet=(-y -qq --no-install-recommends -o 'Dpkg::Use-Pty=0')
  command -v apt-get >/dev/null || fail "this is no Debian-like system; install what these Debian packages hold: $*"
  say "Installing Debian packages: $*"
  # A fresh machine has no package lists, and an old one has lists whose packages are gone: both need an update.
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install "${quiet[@]}" "$@" >/dev/null 2>&1 && return
  as_root apt-get update -qq || fail "apt-get update: see above"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install "${quiet[@]}" "$@" >/dev/null || fail "apt-get install $*: see above"
}

# need_packages PACKAGE…: installs those of these Debian packages that are not there.
need_packages() {
  local missing=() package
  for package in "$@"; do
    case "$(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null)" in
      ii*) ;;
      *) missing+=("$package") ;;
    esac
  done
  [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
}

# need_command COMMAND PACKAGE: installs the package unless something provides the command already.
need_command() {
  command -v "$1" >/dev/null || apt_install "$2"
}

# descendants PID: of this process, those that are started last first.
descendants() {
  local stat line child
  for stat in /proc/[0-9]*/stat; do
    # The name in brackets may have spaces and brackets itself.
    { read -r line <"$stat"; } 2>/dev/null || continue
    child=${line%% *} line=${line##*) }
    read -r _ line _ <<<"$line"
    [ "$line" != "$1" ] || { descendants "$child" && printf '%s\n' "$child"; }
  done
}

# run_until_ended COMMAND…: runs it (a function, too) in a subshell; a signal that ends this script ends all that it has started.
# bash by itself would leave it running, or wait for it first.
run_until_ended() {
  local code=0 job
  "$@" <&0 &
  job=$!
  # shellcheck disable=SC2064  # the job as it is now
  trap "end_all $job 130" INT
  # shellcheck disable=SC2064
  trap "end_all $job 143" TERM HUP
  wait "$job" || code=$?
  trap - INT TERM HUP
  return "$code"
}

end_all() {
  local all
  trap '' INT TERM HUP
  all=$(descendants "$1")
  # shellcheck disable=SC2086  # numbers
  kill -TERM $1 $all 2>/dev/null || [ "$(id -u)" -eq 0 ] || sudo -n kill -TERM $1 $all 2>/dev/null || true
  wait "$1" 2>/dev/null || true
  exit "$2"
}

at_least() { # at_least HAVE WANT: compares versions
  [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]
}

# image_fault IMAGE: what is wrong with the file of a disk image, as a sentence, or nothing; it is not opened but for the end of an .xz.
image_fault() {
  if [ -z "$1" ]; then
    printf 'the name of the image is empty: give audyn-….img or .img.xz\n'
  elif [ -d "$1" ]; then
    printf '%s is a directory: name the image in it, audyn-….img or .img.xz\n' "$1"
  elif [ ! -e "$1" ]; then
    printf 'there is no image %s\n' "$1"
  elif [ ! -f "$1" ] && [ ! -b "$1" ]; then
    printf '%s is a pipe or the like: an image is read more than once, so put it into a file first\n' "$1"
  elif [ ! -r "$1" ]; then
    printf "%s can't be read by this user: run this as root, or change its rights\n" "$1"
  elif [ "${1%.xz}" != "$1" ] && command -v xz >/dev/null && ! xz -l -- "$1" >/dev/null 2>&1; then
    printf '%s is no whole .xz file: download or build it again\n' "$1"
  fi
}

# xz_fault IMAGE: the same for every byte of an .xz, by its own check sums; takes as long as unpacking it.
xz_fault() {
  xz -t -- "$1" 2>/dev/null || printf '%s is damaged: it does not unpack; download or build it again\n' "$1"
}

need_rust() {
  local wanted have=none
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  case ":$PATH:" in
    *":$HOME/.cargo/bin:"*) ;;
    *) PATH="$HOME/.cargo/bin:$PATH" ;; # where rustup puts it; a shell opened before that does not know
  esac
  need_command cc gcc
  need_command c++ g++ # CMake looks for one, though libFLAC is plain C
  need_command cmake cmake # the crates of Opus and FLAC build their libraries with it
  need_command make make
  if command -v cargo >/dev/null; then
    have=$(rustc --version | cut -d' ' -f2)
    if at_least "$have" "$wanted"; then return; fi
  fi
  # Debian keeps a current compiler for its browsers beside the old one: the packages named -web.
  local web
  web=$(apt-cache policy rustc-web 2>/dev/null | sed -n 's/^ *Candidate: \([0-9.]*\).*/\1/p')
  if [ -z "$web" ] && command -v apt-get >/dev/null; then
    as_root apt-get update -qq || true
    web=$(apt-cache policy rustc-web 2>/dev/null | sed -n 's/^ *Candidate: \([0-9.]*\).*/\1/p')
  fi
  if [ "$have" = none ] && [ -n "$web" ] && at_least "$web" "$wanted"; then
    apt_install rustc-web cargo-web rust-web-clippy rustfmt-web ca-certificates
  else
    fail "Rust $wanted or newer is needed (found: $have): install it with rustup, then run this again"
  fi
}

# need_node: Node.js and npm, and the page's packages as package-lock.json pins them.
need_node() {
  need_command node nodejs
  need_command npm npm
  at_least "$(node --version | tr -d v)" 18.20 ||
    fail "Node.js 18.20 or newer is needed for the page (found: $(node --version)): install a newer one"
}

# build_page: webd/ui/dist, which audyn-webd serves.
build_page() {
  (
    cd webd/ui || exit
    if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
      npm ci --no-audit --no-fund || exit
    fi
    npm run build
  )
}
