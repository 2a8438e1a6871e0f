#!/usr/bin/env bash
# Runs go test with the given arguments in each module. Continues after a module that fails.
set -uo pipefail
cd "$(dirname "$0")/.."
# The race detector lets every program sleep for a second before it exits, to see races at the exit. Here that is
# every test and the hundreds of programs that tests run.
export GORACE=${GORACE:-atexit_sleep_ms=20}
failed=0
for module in $(.ci/modules.sh); do
  go -C "$module" test "$@" ./... || failed=1
done
exit $failed
