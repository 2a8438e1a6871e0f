#!/usr/bin/env bash
# Runs go test with the given arguments in each module. Continues after a module that fails.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=0
for module in $(.ci/modules.sh); do
  go -C "$module" test "$@" ./... || failed=1
done
exit $failed
