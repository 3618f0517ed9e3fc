#!/usr/bin/env bash
# Measures how what a training prints reaches those who look on, beside asyncio's `readline` with WebSockets, in one run.
# Needs a Python that has `websockets`.
#
#   benches/stream.sh              set DPGUI and PYTHON to choose the programs
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/dpgui-stream-XXXXXX")
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" "$here/stream.py" "${DPGUI:-$here/../target/release/dpgui}" "$work"
