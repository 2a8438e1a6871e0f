#!/usr/bin/env bash
# Prints -race if the race detector is available. It needs cgo and a C compiler; without them this prints a warning on
# stderr and nothing on stdout, so that the tests still run.
set -euo pipefail
if [[ $(go env CGO_ENABLED) == 1 ]] && command -v "$(go env CC)" >/dev/null 2>&1; then
  echo -race
else
  echo "WITHOUT RACE DETECTOR: it needs cgo and a C compiler (apt-get install gcc libc6-dev)" >&2
fi
