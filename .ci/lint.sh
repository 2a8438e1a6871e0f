#!/usr/bin/env bash
# Lints every module of the repository and the subjects of commits. Continues after a module with findings.
set -uo pipefail
cd "$(dirname "$0")/.."
top=$PWD
failed=0
.ci/subjects.sh || failed=1
for module in $(.ci/modules.sh) .ci/tools; do
  packages=./...
  [[ $module == .ci/tools ]] && packages=./testsum/...
  (cd "$module" && "$top/bin/golangci-lint" run --allow-parallel-runners --config "$top/.golangci.yml" "$packages") ||
    { echo "in module $module" >&2; failed=1; }
done
exit $failed
