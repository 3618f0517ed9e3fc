#!/usr/bin/env bash
# Measures the page in a real browser, with the real server and a real run whose trainer only prints: frames a second while
# 5,000 lines a second arrive and the loss is drawn, then what a million lines do to the terminal.
# Needs Chromium and Node; `dpgui setup --only node,page` builds the page.
#
#   benches/page.sh PAGE            a built page, as in .dpgui/page; set DPGUI to choose the program
set -euo pipefail
page=$(realpath "${1:?a built page}")
here=$(cd "$(dirname "$0")" && pwd)
dpgui=$(realpath "${DPGUI:-$here/../target/release/dpgui}")
cd "$here/../tests/browser"
[[ -d node_modules ]] || npm ci --silent
shots=$(mktemp -d "${TMPDIR:-/tmp}/dpgui-page-XXXXXX")
trap 'rm -rf "$shots"' EXIT
node "$here/page.mjs" "$dpgui" - "$page" "$shots"
