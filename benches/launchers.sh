#!/usr/bin/env bash
# Measures who starts the ranks, with real DeepSpeed on the demo: the stock command typed by hand, and dpgui's two launchers.
#
#   benches/launchers.sh WORKSPACE [ROUNDS]      one that `dpgui demo` has set up; set DPGUI to choose the program
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python3 "$here/launchers.py" "${DPGUI:-$here/../target/release/dpgui}" "${1:?a workspace}" "${2:-3}"
