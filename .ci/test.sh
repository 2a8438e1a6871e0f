#!/usr/bin/env bash
# go test, with the arguments given, in each module of ours; goes on where one fails.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=0
for module in $(.ci/modules.sh); do
  go -C "$module" test "$@" ./... || failed=1
done
exit $failed
