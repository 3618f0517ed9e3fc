#!/usr/bin/env bash
# The page: its own checks, its size, and a visit with a real browser.
#
#   tests/browser.sh [DPGUI] [WORKSPACE]
#
# WORKSPACE is one that `dpgui demo` has set up. The page and Node are those that `dpgui setup` makes.
set -euo pipefail
cd "$(dirname "$0")/.."
dpgui=$(realpath "${1:-target/debug/dpgui}")
workspace=$(realpath "${2:-target/tmp/demo}")
made=target/tmp/page

"$dpgui" -C "$made" setup --only node,page
[[ ! -x "$made/tools/node/bin/node" ]] || export PATH="$PWD/$made/tools/node/bin:$PATH"
(
    cd web
    npm ci --silent
    npm run --silent check
    npm run --silent budget
    cp src/api/types.gen.ts "$OLDPWD/target/tmp/types.gen.ts"
    npm run --silent types
    cmp src/api/types.gen.ts "$OLDPWD/target/tmp/types.gen.ts" || { echo "the page's types are not those of web/openapi.json"; exit 1; }
)
(cd tests/browser && npm ci --silent && timeout 1200 node run.mjs "$dpgui" "$workspace" "$OLDPWD/$made/.dpgui/page" "$OLDPWD/target/tmp/screenshots")
# A setup from the page needs mirrors of everything, which the other tests have.
export DPGUI_TEST_PAGE="$PWD/$made/.dpgui/page" DPGUI_TEST_SHOTS="$PWD/target/tmp/screenshots" DPGUI_TEST_NODE
DPGUI_TEST_NODE=$(command -v node)
cargo test --locked --quiet --test it ui_page -- --ignored
