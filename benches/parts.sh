#!/usr/bin/env bash
# The parts of a setup that have a rival of their own, in turns: Node's archive, a repository, and doing nothing.
#
#   ROUNDS=5 benches/parts.sh MIRROR_DIR WORKSPACE
#
# MIRROR_DIR is made by `mirror.sh`; WORKSPACE was set up (`setup.sh` leaves none: make one by hand). Settings:
#   DPGUI=target/release/dpgui
#   RESULTS=parts.jsonl
set -euo pipefail
mirror=$(cd "${1:?a mirror}" && pwd) whole=$(cd "${2:?a workspace}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
dpgui=$(realpath "${DPGUI:-$here/../target/release/dpgui}")
results=$(realpath -m "${RESULTS:-parts.jsonl}")
work=$(mktemp -d "$(dirname "$whole")/parts.XXXXXX")

coproc SERVER { exec python3 "$here/serve.py" "$mirror"; }
server=$SERVER_PID
trap 'kill "$server"; rm -rf "$work"' EXIT
read -r MIRROR <&"${SERVER[0]}"
export MIRROR

measure() { "${settings[@]}" python3 "$here/measure.py" run "$results" "$@"; }

# Emptied, with the settings of a workspace that fetches from the mirror. No cache, and no Node of this machine.
fresh() {
    rm -rf "${work:?}"/*
    mkdir "$work"/{target,cache,home}
    sed "s,@MIRROR@,$MIRROR,g" "$mirror/dpgui.toml" >"$work/target/dpgui.toml"
    cat "$mirror"/archives/node.tar.gz >/dev/null
    sync
    settings=(env -i PATH=/usr/bin:/bin HOME="$work/home" DPGUI_CACHE_DIR="$work/cache" MIRROR="$MIRROR")
}

while read -r name commit; do
    [[ $name == ComfyUI ]] && break
done <"$mirror/commits.txt"

for ((round = 0; round < ${ROUNDS:-5}; round++)); do
    fresh
    measure 'Node: dpgui' -- "$dpgui" -C "$work/target" setup --only node
    fresh
    measure 'Node: `curl \| tar -xz`' -- sh -c "mkdir -p '$work/target/tools/node' && \
        curl -fsSL '$MIRROR/files/node.tar.gz' | tar -xz -C '$work/target/tools/node' --strip-components=1"
    fresh
    measure 'ComfyUI: dpgui' -- "$dpgui" -C "$work/target" setup --only ComfyUI
    fresh
    measure 'ComfyUI: `git fetch --depth 1`' -- sh -c "git init --quiet '$work/target/ComfyUI' && \
        cd '$work/target/ComfyUI' && git fetch --quiet --depth 1 '$MIRROR/git/ComfyUI.git' $commit && \
        git -c advice.detachedHead=false checkout --quiet FETCH_HEAD"
    settings=(env)
    measure 'nothing to do' -- "$dpgui" -C "$whole" setup --offline
    measure '`dpgui --version`' -- "$dpgui" --version
    measure '`true`' -- true
done
table() { python3 "$here/measure.py" table "$results" "$@"; echo; }
table 'Node: `curl \| tar -xz`' 'Node: dpgui' 'Node: `curl \| tar -xz`'
table 'ComfyUI: `git fetch --depth 1`' 'ComfyUI: dpgui' 'ComfyUI: `git fetch --depth 1`'
table '`true`' 'nothing to do' '`dpgui --version`' '`true`'
