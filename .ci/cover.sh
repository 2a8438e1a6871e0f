#!/usr/bin/env bash
# Prints how many of each package's statements its own tests reach, and the whole.
set -euo pipefail
cd "$(dirname "$0")/.."
go test -coverprofile=cover.out ./... | awk '
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
go tool cover -html=cover.out -o cover.html
echo "          (cover.html shows the lines)"
