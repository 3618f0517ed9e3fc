#!/usr/bin/env bash
# The launcher that dpgui is measured against: the same things, one after the other, with curl, tar, git and pip.
#
#   MIRROR=http://127.0.0.1:PORT benches/rival-pip.sh MIRROR_DIR TARGET_DIR
#
# It is written to be quick for its kind: single commits instead of whole histories, exact versions, and one call of pip.
set -euo pipefail
mirror=$1 target=$2
mkdir -p "$target"/{tools,vendor}

for name in node python; do
    mkdir "$target/tools/$name"
    curl -fsSL "$MIRROR/files/$name.tar.gz" | tar -xz -C "$target/tools/$name" --strip-components=1
done

while read -r name commit; do
    git init --quiet "$target/vendor/$name"
    git -C "$target/vendor/$name" fetch --quiet --depth 1 "$MIRROR/git/$name.git" "$commit"
    git -C "$target/vendor/$name" -c advice.detachedHead=false checkout --quiet FETCH_HEAD
done <"$mirror/commits.txt"

"$target/tools/python/bin/python3" -m venv "$target/venv"
export PIP_INDEX_URL=$MIRROR/simple/ PIP_DISABLE_PIP_VERSION_CHECK=1
"$target/venv/bin/python" -m pip install --quiet --upgrade pip
"$target/venv/bin/python" -m pip install --quiet --requirement "$mirror/pins.txt"
