# What the other scripts share; source it from the repository's top. Sets `tools`, where setup installs.
# shellcheck shell=bash

tools=$PWD/.tools

# rustup puts cargo here, and a shell started before that has it not on its PATH yet.
command -v cargo >/dev/null || PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

ok() { printf '  ok  %s\n' "$*"; }
doing() { printf '  ..  %s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# version_at_least HAVE WANT
version_at_least() {
  [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# Puts the tools that setup chose into the environment, after setting up where that never happened.
load_tools() {
  [ -f "$tools/env" ] || scripts/setup
  # shellcheck source=/dev/null
  . "$tools/env"
}
