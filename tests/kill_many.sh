#!/bin/sh
# Kills setups at 2000 random moments, ten times as often as the suite; `tests/kill_many.sh COUNT` at as many. A failure
# names its seed, which DPGUI_TEST_SEED repeats.
set -eu
cd "$(dirname "$0")/.."
export DPGUI_TEST_KILLS="${1:-2000}"
# Without nextest, which would end it after some minutes.
exec cargo test --test it killed_at_random_moments -- --nocapture
