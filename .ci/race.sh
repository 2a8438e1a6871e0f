#!/usr/bin/env bash
# Prints -race where the race detector can be used. It needs cgo and a C compiler; where they are missing it
# says so on stderr and prints nothing, so that the tests can at least run.
set -euo pipefail
if [[ $(go env CGO_ENABLED) == 1 ]] && command -v "$(go env CC)" >/dev/null 2>&1; then
  echo -race
else
  echo "NO RACE DETECTOR: it needs cgo and a C compiler (apt-get install gcc libc6-dev)" >&2
fi
