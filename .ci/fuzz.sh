#!/usr/bin/env bash
# Runs every native fuzz target of every module for the given duration, one after the other, because go test accepts
# only one target at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
duration=${1:-20s}
found=0
for module in $(.ci/modules.sh); do
  # Only packages with a target are compiled.
  for dir in $(cd "$module" && go list -f '{{.Dir}}' ./...); do
    grep -qs '^func Fuzz' "$dir"/*_test.go || continue
    for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$dir"/*_test.go); do
      echo "== $dir $target ($duration)"
      (cd "$dir" && go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" .)
      found=$((found + 1))
    done
  done
done
echo "$found fuzz targets, no failures"
