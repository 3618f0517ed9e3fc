#!/usr/bin/env bash
# Builds the fuzz targets on the stable toolchain and runs each for some seconds: `fuzz/run.sh [SECONDS] [TARGET...]`.
# It goes the same way each time, that a change is not refused for what it has nothing to do with; to explore, run it long
# with `DPGUI_FUZZ_SEED=0`, which is any.
#
# Plain cargo does it: what `cargo fuzz` adds is a nightly's AddressSanitizer, which code without `unsafe` does not need,
# and minutes to install. What is learnt and what is found stays in `target/fuzz`.
set -euo pipefail
cd "$(dirname "$0")"

seconds="${1:-15}"
seed="${DPGUI_FUZZ_SEED:-1}"
shift || true
targets=("$@")
((${#targets[@]})) || targets=(unpack_tar_gz unpack_wheel bundle lock sources requirements media config safetensors diagnosis follow events)

# The triple keeps these flags from build scripts and macros, which have no fuzzer to link with.
triple="$(rustc -vV | sed -n 's/^host: //p')"
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
 -Cllvm-args=-sanitizer-coverage-trace-compares"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/../target}"
export RUST_BACKTRACE=0
cargo build --locked --target "$triple"

# The targets write thousands of small files a second, and libFuzzer leaves without tidying up.
memory=/dev/shm
[[ -w "$memory" ]] || memory="${TMPDIR:-/tmp}"
TMPDIR="$(mktemp -d -p "$memory" dpgui-fuzz.XXXXXX)"
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

# What to start from, made of what is in the repository. The first byte says how the unpackers take the rest.
work="$CARGO_TARGET_DIR/fuzz"
mkdir -p "$work"/{corpus,found,seeds}/{bundle,config,diagnosis,events,follow,lock,media,requirements,safetensors,sources,unpack_tar_gz,unpack_wheel}
python3 - "$work/seeds/diagnosis" ../templates/failures/*.toml <<'END'
import pathlib, sys, tomllib
for file in sys.argv[2:]:
    for cause in tomllib.loads(pathlib.Path(file).read_text())["cause"]:
        for number, sample in enumerate(cause.get("samples", [])):
            pathlib.Path(sys.argv[1], f"{cause['id']}-{number}").write_bytes(b"\7\0" + sample.encode())
END
# A query, a range, and frames: a text, a ping, a close, one that claims to be long.
printf '\0\1from=9&tail=1&lag=4&stream=rank0\nbytes=-9\n\201\202\0\0\0\0ab\211\200\0\0\0\0\210\202\0\0\0\0\3\350\202\377\0\0\0\1' \
    >"$work/seeds/follow/asked"
printf '\60\0{"seq":1,"event":"started","pid":7}\n{"seq":2,"event":"ended","outcome":{"outcome":"lost"}}\n{"seq":3,"ev' \
    >"$work/seeds/events/torn"
cp ../vendor/dpgui.lock "$work/seeds/lock/shipped"
python3 - "$work/seeds/media" ../tests/data/differential/media.jsonl <<'END'
import base64, json, pathlib, sys
for line in open(sys.argv[2]):
    file = json.loads(line)
    pathlib.Path(sys.argv[1], file["name"]).write_bytes(base64.b64decode(file["bytes"]))
END
cat >"$work/seeds/config/pair" <<'END'
output_dir = 'output'
dataset = 'd.toml'
epoch = 10 # a typing error
micro_batch_size_per_gpu = [[512, 4], [1024, "1"]]
save_every_n_epochs = 1
[model]
type = 'wan'
dtype = 'bf16'
ckpt_path = 'C:\models\wan'
gradient_clipping = 1.0
[adapter]
type = 'lora'
rank = 0x10
[optimizer]
type = 'adamw_optimi'
betas = [0, 0.99]
[monitoring]
enable_wandb = true
END
printf '\0resolutions = [512, [1280, 720]]\r\nenable_ar_bucket = 1\n[[directory]]\npath = "a\\u0062"\n' \
    >>"$work/seeds/config/pair"
printf '\67\0\0\0\0\0\0\0{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}12' >"$work/seeds/safetensors/one"
cat >"$work/seeds/lock/full" <<'END'
version = 1
rules = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

[repositories]
diffusion-pipe = "8f83dbf25d03219df705570ec03e62be04bc402f"

[archives.node]
version = "22.12.0"
files.x86_64 = { sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", size = 5 }

[python.trainer-cpu-x86_64-cp312]
made-from = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
requirements = '''
av==1.0 --hash=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  # av-1.0-py3-none-any.whl 5
'''
END
sed -n 's/^#\([^ ]\)/\1/p' ../templates/dpgui.toml >"$work/seeds/sources/examples"
printf 'numpy==1.24.4 # old\ntorch>=2\n\0diffusers==0.31.0\n-r x\n' >"$work/seeds/requirements/lists"
{ printf '\0' && tar -cz -C .. LICENSE-MIT; } >"$work/seeds/unpack_tar_gz/packed"
{ printf '\1' && tar -c -C .. LICENSE-MIT; } >"$work/seeds/unpack_tar_gz/blocks"
# A file, a link to it, a hard link and a directory; two files of a wheel. See the targets for what each byte means.
printf '\2\0\0\2\0\0\0\0\0\0\5''\12\0\3\0\0\0\2\0\0\0\0''\17\0\4\3\0\0\2\0\0\0\0''\4\0\5\2\0\0\0\0\0\0\0' \
    >"$work/seeds/unpack_tar_gz/chosen"
printf '\2\0\2\0\0\0\5\3\1\0\0\0\0''\2\4\3\0\0\7\2\3\0\0\0\0' >"$work/seeds/unpack_wheel/chosen"

# A lock, a download, and three files of a repository.
printf '\2\0\0\0\0\0\5\0\0\2\0\0\0\0\5\7\0\5\0\0\0\0\5\1\0\5\3\0\0\0\5\2\0\5\4\0\0\0\5\3\0' \
    >"$work/seeds/bundle/chosen"
# A file, and one in a folder of its name.
printf '\2\7\0\0\0\3\5\1\0\7\0\0\5\2\5\1\0' >"$work/seeds/bundle/both"

fuzz() {
    local target="$1" found="$work/found/$1"
    local options=(-max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=4096 -seed="$seed")
    [[ -f "dictionaries/$target.dict" ]] && options+=(-dict="dictionaries/$target.dict")
    "$CARGO_TARGET_DIR/$triple/debug/$target" "$work/corpus/$target" "$work/seeds/$target" \
        "${options[@]}" -artifact_prefix="$found/" -print_final_stats=1 >"$found.log" 2>&1 || {
        echo "fuzz target $target failed:"
        grep -v '^WARNING\|^INFO\|^#' "$found.log" | tail -30
        return 1
    }
    sed -n 's/^stat::number_of_executed_units: */'"$target"': nothing found in /p' "$found.log"
}
export -f fuzz
export work seconds seed triple

# Two at a time: each is one process with one thread.
printf '%s\n' "${targets[@]}" | xargs -P 2 -I{} bash -euo pipefail -c 'fuzz {}'
