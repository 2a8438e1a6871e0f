#!/usr/bin/env bash
# Runs every native fuzz target of the module for the time given, one after the other: go test takes one
# target at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
duration=${1:-20s}
found=0
for package in $(go list ./...); do
  for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
    echo "== $package $target ($duration)"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" "$package"
    found=$((found + 1))
  done
done
echo "$found fuzz targets, nothing found"
