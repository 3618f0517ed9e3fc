#!/bin/sh
# Kills setups at 200 random moments; `tests/kill_many.sh COUNT` at as many. A failure names its seed, which
# DPGUI_TEST_SEED repeats.
set -eu
cd "$(dirname "$0")/.."
export DPGUI_TEST_KILLS="${1:-200}"
exec cargo nextest run --no-capture -E 'test(setups_that_are_killed_at_random_moments)'
