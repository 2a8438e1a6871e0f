#!/usr/bin/env bash
# Prints how many of each package's statements its own tests reach, and the whole. The examples that tests of internal/interop run as
# processes are built for counting (PB_GOCOVERDIR), and stand in a table of their own with what those processes reached.
set -euo pipefail
cd "$(dirname "$0")/.."
processes=$(mktemp -d)
trap 'rm -rf "$processes"' EXIT
PB_GOCOVERDIR=$processes go test -coverprofile=cover.out ./... | awk '
  /coverage: [0-9.]+%/ {
    for (i = 1; i <= NF; i++) if ($i == "coverage:") value = $(i + 1)
    for (i = 1; i <= NF; i++) if ($i ~ /^github.com\//) { name = $i; break }
    sub("github.com/perspectivebroker/pb/?", "", name)
    printf "%8s  %s\n", value, name == "" ? "." : name
    next
  }
  /FAIL|panic/ { print; failed = 1 }
  END { exit failed }'
go tool cover -func=cover.out | awk '/^total:/ { printf "%8s  all\n", $NF }'
if [[ -n $(ls "$processes") ]]; then
  echo "run as processes:"
  go tool covdata percent -i="$processes" | awk '{ sub("github.com/perspectivebroker/pb/", "", $1); printf "%8s  %s\n", $3, $1 }'
fi
go tool cover -html=cover.out -o cover.html
echo "          (cover.html shows the lines)"
