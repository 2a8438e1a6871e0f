#!/usr/bin/env bash
# Prints the directory of each module, the main one first. .ci/tools is not listed: it pins the version of the linter,
# and its one program is checked separately.
set -euo pipefail
cd "$(dirname "$0")/.."
echo .
find . -mindepth 2 -name go.mod -not -path './.*' -printf '%P\n' | sort | while read -r file; do dirname "$file"; done
