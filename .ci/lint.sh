#!/usr/bin/env bash
# Lints every module of the repository that holds our code.
set -euo pipefail
cd "$(dirname "$0")/.."
linter=$PWD/bin/golangci-lint
"$linter" run --allow-parallel-runners ./...
for module in bench .ci/tools; do
  if [[ -f $module/go.mod ]]; then
    (cd "$module" && "$linter" run --allow-parallel-runners --config "$OLDPWD/.golangci.yml" ./...)
  fi
done
