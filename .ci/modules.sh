#!/usr/bin/env bash
# Prints the directory of each module of ours, the main one first. The tools' module is none of them: it only says
# which linter there is, and its one program is checked by name.
set -euo pipefail
cd "$(dirname "$0")/.."
echo .
find . -mindepth 2 -name go.mod -not -path './.*' -printf '%P\n' | sort | while read -r file; do dirname "$file"; done
