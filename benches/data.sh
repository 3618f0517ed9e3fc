#!/usr/bin/env bash
# Measures `dpgui data check` on 10,000 images and 500 videos, first look and second look, and beside it, in the same run,
# the way in which the trainer looks at the same files (Pillow, imageio, PyAV). Then the memory for 100,000 files.
# Cold is an empty cache of dpgui's; the operating system's pages are warm for both.
#
#   benches/data.sh [TIMES]         default 5; set DPGUI and PYTHON to choose the programs
set -euo pipefail
times=${1:-5}
here=$(cd "$(dirname "$0")" && pwd)
dpgui=${DPGUI:-$here/../target/release/dpgui}
python=${PYTHON:-python3}
work=$(mktemp -d "${TMPDIR:-/tmp}/dpgui-data-XXXXXX")
trap 'rm -rf "$work"' EXIT

cd "$work"
touch dpgui.toml
"$python" "$here/data.py" make data/some 10000 500
cat > some.toml <<'TOML'
resolutions = [512]
enable_ar_bucket = true
min_ar = 0.5
max_ar = 2.0
num_ar_buckets = 7
frame_buckets = [1, 33, 65]
[[directory]]
path = 'data/some'
TOML
cat > train.toml <<'TOML'
output_dir = 'output'
dataset = 'some.toml'
epochs = 1
save_every_n_epochs = 1
[model]
type = 'wan'
dtype = 'bfloat16'
ckpt_path = 'models'
[optimizer]
type = 'adamw_optimi'
TOML

check() { # LABEL FILE
    command time -f "$1 %e s %M kB" "$dpgui" data check "$2" > /dev/null 2> said || { cat said; exit 1; }
    tail -n 1 said
}
for _ in $(seq "$times"); do
    rm -rf .dpgui
    check cold train.toml
    check warm train.toml
    echo "trainer $("$python" "$here/data.py" look data/some)"
done

"$python" "$here/data.py" link data/some data/many 100000
sed 's/some/many/' some.toml > many.toml
sed 's/some/many/' train.toml > train-many.toml
rm -rf .dpgui
check "many-cold" train-many.toml
check "many-warm" train-many.toml
