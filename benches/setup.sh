#!/usr/bin/env bash
# Cold setups, in turns: dpgui, the two launchers, and the wheels alone by `uv pip sync`.
#
#   ROUNDS=3 benches/setup.sh MIRROR_DIR WORK_DIR [dpgui|launcher with pip|launcher with uv|uv pip sync]...
#
# MIRROR_DIR is made by `mirror.sh`. Everything lands in WORK_DIR, which is emptied before each measurement (10 GB at
# most) and should be on the disk that a workspace would be on. The settings of the environment:
#   DPGUI=target/release/dpgui
#   RATE=0               MB/s of the mirror, 0 for as fast as loopback is
#   RESULTS=WORK_DIR/setup.jsonl
#
# Nobody finds anything of an earlier round: home, caches and target are empty. What is served is in the page cache
# for all, so that a disk does not play the network. Node and uv of this machine are hidden: all have to fetch them.
#
# The memory is full of clean cache before each measurement, as it is where a machine has been up for a while. A virtual
# machine gets a page that it never touched, or gave back, from its host, which costs some ten times what a page does
# that it has already (measured: 2.7 against 0.25 seconds for each GB that is written), and would be most of a setup.
set -euo pipefail
mirror=$(cd "${1:?a mirror}" && pwd)
mkdir -p "${2:?a directory to work in}"
work=$(cd "$2" && pwd)
shift 2
here=$(cd "$(dirname "$0")" && pwd)
dpgui=$(realpath "${DPGUI:-$here/../target/release/dpgui}")
results=${RESULTS:-$work/setup.jsonl}
contestants=("$@")
[[ $# -gt 0 ]] || contestants=(dpgui 'uv pip sync' 'launcher with uv' 'launcher with pip')

# Programs of this machine without those that a setup would take instead of fetching them.
if [[ ! -d $work/bin ]]; then
    mkdir "$work/bin"
    (IFS=:; for dir in $PATH; do find -L "$dir" -maxdepth 1 -type f -executable -exec ln -st "$work/bin" {} + 2>/dev/null || true; done)
    rm -f "$work"/bin/{node,npm,npx,uv,uvx}
fi

coproc SERVER { exec python3 "$here/serve.py" "$mirror" --rate "${RATE:-0}"; }
server=$SERVER_PID
trap 'kill "$server"' EXIT
read -r MIRROR <&"${SERVER[0]}"
export MIRROR

# Without what the user set: only what makes the round.
clean() {
    env -i PATH="$work/bin" HOME="$work/home" LANG=C.UTF-8 MIRROR="$MIRROR" "$@"
}

fresh() {
    chmod -R u+w "$work"/{target,home} 2>/dev/null || true
    rm -rf "$work"/{target,home}
    mkdir "$work"/{target,home}
    # Holes are read without a disk, and take memory all the same.
    truncate -s "$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)K" "$work/ballast"
    cat "$work/ballast" >/dev/null
    cat "$mirror"/{archives,wheels}/* >/dev/null
    sync
}

measure() {
    clean "${settings[@]}" python3 "$here/measure.py" run "$results" "$@"
}

workspace() {
    { sed "s,@MIRROR@,$MIRROR,g" "$mirror/dpgui.toml"; printf '[torch]\nprofile = "cu13"\n'; } >"$work/target/dpgui.toml"
}

for ((round = 0; round < ${ROUNDS:-3}; round++)); do
    # Every other round the other way round, so that nobody always comes after the same one.
    order=("${contestants[@]}")
    if ((round % 2)); then
        order=()
        for name in "${contestants[@]}"; do order=("$name" "${order[@]}"); done
    fi
    for name in "${order[@]}"; do
        fresh
        settings=()
        case $name in
        dpgui)
            workspace
            # The lock that dpgui ships is for its own pins, this one for the mirror's. The rivals have versions too.
            cp "$mirror/dpgui.lock" "$work/target"
            # As with a release, which carries the page; its packages are in no mirror.
            settings=(UV_DEFAULT_INDEX="$MIRROR/simple/" DPGUI_PAGE=no)
            measure "$name" -- "$dpgui" -C "$work/target" setup
            ;;
        'launcher with pip') measure "$name" -- bash "$here/rival-pip.sh" "$mirror" "$work/target" ;;
        'launcher with uv') measure "$name" -- bash "$here/rival-uv.sh" "$mirror" "$work/target" ;;
        'uv pip sync')
            for tool in uv python; do
                mkdir "$work/target/$tool"
                tar -xzf "$mirror/archives/$tool.tar.gz" -C "$work/target/$tool" --strip-components=1
            done
            uv=$work/target/uv/uv
            clean "$uv" venv --quiet --python "$work/target/python/bin/python3" "$work/target/venv"
            sync
            settings=(UV_DEFAULT_INDEX="$MIRROR/simple/")
            measure "$name" -- "$uv" pip sync --quiet --no-config --require-hashes \
                --python "$work/target/venv/bin/python" "$mirror/requirements.txt"
            ;;
        *) printf 'no contestant is called `%s`\n' "$name" >&2 && exit 2 ;;
        esac
    done
done
fresh
python3 "$here/measure.py" table "$results" dpgui
