#!/bin/sh
# Builds the page of the live graph.
# In:  Node 20.19 or newer with npm, and npm's registry the first time.
# Out: ui/dist, which cargo puts into the binary; with --test its types, its style, its units, and the page itself in
#      Chromium are tested.
#      Without Node: a word about what is missing, and exit code 0; with --test in CI, 1.
# Idempotent: what is newer than its sources is left alone.
set -eu

ui=$(cd "$(dirname "$0")/../ui" && pwd)
say() { echo "ui: $*" >&2; }

if ! command -v npm >/dev/null 2>&1; then
  say "the graph's page is left out: install Node 20 with npm, then make ui, to have it"
  [ "${1:-}${CI:-}" != --testtrue ] || exit 1
  exit 0
fi
cd "$ui"
if [ ! -d node_modules ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  say "installing what the page is built with"
  npm ci --silent --no-audit --no-fund
fi
if [ "${1:-}" = --test ]; then
  npm run --silent check
  npm run --silent lint
  npm run --silent unit
fi
if [ ! -f dist/index.html ] || [ -n "$(find src index.html package-lock.json vite.config.ts -newer dist/index.html)" ]; then
  say "building the page"
  npm run --silent build -- --logLevel warn
fi
[ "${1:-}" = --test ] || exit 0
if [ ! -x "${CHROMIUM:-/usr/bin/chromium}" ]; then
  say "SKIPPED: the page is not tested: run scripts/test-deps.sh as root, or set CHROMIUM"
  [ "${CI:-}" != true ] || exit 1
  exit 0
fi
say "testing the page in Chromium (a minute)"
npm run --silent browser
