#!/usr/bin/env bash
# Prints the statement coverage of each package by its own tests, and the total of each module. Exits 1 if a package is
# below its threshold or a test fails. Checks the modules given as arguments, by default all modules.
#
# Every package with statements is checked, including commands and examples, whose tests run them in process. A package
# without tests has a coverage of 0 %. Packages without statements and packages of generated code only are listed but
# not checked.
#
# Examples that tests run as processes are built with coverage counters (PB_GOCOVERDIR) and listed in a second table,
# which is not checked.
set -euo pipefail
cd "$(dirname "$0")/.."

# The thresholds in percent. Packages that parse a peer's bytes have the higher one.
strict_threshold=92
strict_packages="codec/banana codec/jelly broker"
threshold=85

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/processes"

# generated prints the packages of the current module in which every file is generated.
generated() {
  local dir package files
  go list -f '{{.Dir}} {{.ImportPath}} {{join .GoFiles " "}}' ./... | while read -r dir package files; do
    # shellcheck disable=SC2086 # $files is a list
    [[ -z $files || -n $(cd "$dir" && grep -L '^// Code generated .* DO NOT EDIT\.$' $files) ]] || echo "$package"
  done
}

# check reads the output of go test and prints the table. It writes the packages below their threshold to $work/low.
check() {
  awk -v generated="$1" -v strict="$strict_threshold" -v strict_packages="$strict_packages" -v usual="$threshold" \
    -v low="$work/low" '
    BEGIN {
      split(generated, list, /[ \n]+/); for (i in list) skip[list[i]] = 1
      split(strict_packages, list, " "); for (i in list) thresholds[list[i]] = strict
    }
    /coverage: / {
      name = value = ""
      for (i = 1; i <= NF; i++) if ($i == "coverage:") value = $(i + 1)
      for (i = 1; i <= NF; i++) if ($i ~ /^github.com\//) { name = $i; break }
      if (name == "") next # The package failed; another line names it.
      path = name
      sub("github.com/perspectivebroker/pb/?", "", path)
      if (path ~ /^docs\/guide\//) next # programs that the tests of docs/guide/code run as processes
      if (name in skip) { printf "%9s  %s\n", "generated", path; next }
      if (value !~ /%$/) { printf "%9s  %s\n", "-", path; next }
      least = path in thresholds ? thresholds[path] : usual
      below = value + 0 < least
      printf "%9s  %s%s\n", value, path, below ? "  BELOW " least "%" : ""
      if (below) printf "%s: %s, want %s%%\n", path, value, least >> low
      next
    }
    /FAIL|panic/ { print; failed = 1 }
    END { exit failed }'
}

modules=("$@")
[[ $# -gt 0 ]] || mapfile -t modules < <(.ci/modules.sh)
failed=0
for module in "${modules[@]}"; do
  echo "module $module:"
  pushd "$module" >/dev/null
  generated=$(generated)
  PB_GOCOVERDIR=$work/processes go test -coverprofile=cover.out ./... | check "$generated" || failed=1
  if [[ -s cover.out ]]; then
    # Generated code does not count in the total either.
    while read -r package; do
      [[ -z $package ]] || sed -i "\|^$package/[^/]*:|d" cover.out
    done <<<"$generated"
    go tool cover -func=cover.out | awk '/^total:/ { printf "%9s  total\n", $NF }'
    go tool cover -html=cover.out -o cover.html
    echo "           (details in $module/cover.html)"
  fi
  popd >/dev/null
done
if [[ -n $(ls "$work/processes") ]]; then
  echo "run as processes:"
  go tool covdata percent -i="$work/processes" |
    awk '{ sub("github.com/perspectivebroker/pb/", "", $1); printf "%9s  %s\n", $3, $1 }'
fi
if [[ -s $work/low ]]; then
  echo "coverage below the threshold:" >&2
  sed 's/^/  /' "$work/low" >&2
  failed=1
fi
exit $failed
