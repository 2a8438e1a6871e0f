#!/usr/bin/env bash
# Fails if go.mod or go.sum of a module is not tidy. .ci/tools is not checked: tidying it downloads the test
# dependencies of two hundred linters, and building the linter verifies its sums anyway.
set -euo pipefail
cd "$(dirname "$0")/.."
for module in $(.ci/modules.sh); do
  go -C "$module" mod tidy -diff || { echo "module $module: not tidy; run go mod tidy" >&2; exit 1; }
done
