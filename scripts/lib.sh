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

# write_types FOLDER OUT: puts the types of what the Rust Worker in FOLDER exports beside the OUT/index.js that was just built of it, for
# the type checker; worker-build does not, and adds an entry point of its own.
write_types() {
  local crate target made
  crate=$(sed -n 's/^name *= *"\(.*\)"/\1/p' "$1/Cargo.toml" | head -n 1 | tr - _)
  target=$(cargo metadata --format-version 1 --no-deps --manifest-path "$1/Cargo.toml" | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
  made=$(mktemp -d)
  "$WASM_BINDGEN_BIN" --target module --out-dir "$made" --out-name index "$target/wasm32-unknown-unknown/release/$crate.wasm" || return
  {
    # A declaration cannot be async, whatever wasm-bindgen writes.
    sed 's/static async /static /' "$made/index.d.ts"
    echo 'export default class { constructor(ctx: unknown, env: unknown); fetch(request: Request): Promise<Response>; }'
  } >"$2/index.d.ts"
  rm -r "$made"
}

# Puts the tools that setup chose into the environment, after setting up where that never happened.
load_tools() {
  [ -f "$tools/env" ] || scripts/setup
  # shellcheck source=/dev/null
  . "$tools/env"
}
