#!/usr/bin/env bash
# go.mod and go.sum of each module of ours must be exactly what its code needs. The tools' module is left out:
# tidying it downloads the tests of two hundred linters, and the build of the linter checks its sums anyway.
set -euo pipefail
cd "$(dirname "$0")/.."
for module in $(.ci/modules.sh); do
  go -C "$module" mod tidy -diff || { echo "module $module: run go mod tidy there" >&2; exit 1; }
done
