#!/usr/bin/env bash
# Everything that must hold before a change lands: format, lints, all tests, and the demo for real.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }

# The demo and the tests share one cache of downloads, beside the environments that are made of them.
export DPGUI_CACHE_DIR="${DPGUI_CACHE_DIR:-$PWD/target/tmp/cache}"

say "format"
cargo fmt --check
cargo fmt --check --manifest-path fuzz/Cargo.toml

say "lints"
cargo clippy --locked --all-targets -- -D warnings

say "the demo, for real"
cargo build --locked
rm -rf target/tmp/demo
target/debug/dpgui -C target/tmp/demo demo

unshare --mount --pid --fork --mount-proc true 2>/dev/null ||
    say "NOTE: there can be no second machine here (root and unshare are needed): runs on several are NOT tested"

say "tests"
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked
else
    cargo test --locked
fi

say "the page, in a browser"
tests/browser.sh target/debug/dpgui target/tmp/demo

say "fuzz, briefly"
fuzz/run.sh 15
