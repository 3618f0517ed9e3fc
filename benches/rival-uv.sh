#!/usr/bin/env bash
# The same launcher with uv in the place of pip: still one thing after the other, nothing checked.
#
#   MIRROR=http://127.0.0.1:PORT benches/rival-uv.sh MIRROR_DIR TARGET_DIR
set -euo pipefail
mirror=$1 target=$2
mkdir -p "$target"/{tools,vendor}

for name in node python uv; do
    mkdir "$target/tools/$name"
    curl -fsSL "$MIRROR/files/$name.tar.gz" | tar -xz -C "$target/tools/$name" --strip-components=1
done

while read -r name commit; do
    git init --quiet "$target/vendor/$name"
    git -C "$target/vendor/$name" fetch --quiet --depth 1 "$MIRROR/git/$name.git" "$commit"
    git -C "$target/vendor/$name" -c advice.detachedHead=false checkout --quiet FETCH_HEAD
done <"$mirror/commits.txt"

uv=$target/tools/uv/uv
export UV_DEFAULT_INDEX=$MIRROR/simple/ UV_PYTHON_DOWNLOADS=never
"$uv" venv --quiet --python "$target/tools/python/bin/python3" "$target/venv"
"$uv" pip install --quiet --python "$target/venv/bin/python" --requirement "$mirror/pins.txt"
