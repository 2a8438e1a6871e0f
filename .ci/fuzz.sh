#!/usr/bin/env bash
# Runs every native fuzz target of the main module for the given duration, one after the other, because go test accepts
# only one target at a time.
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
echo "$found fuzz targets, no failures"
