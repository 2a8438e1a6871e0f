#!/usr/bin/env bash
# Prints how many of each package's statements its own tests reach, module by module, and the whole of each; exits 1 when a package is below
# what is wanted of it, or a test fails, and names it. Looks at the modules given, or else at all of ours.
#
# Every package with statements is judged, commands and examples too: each has tests of its own, which run it in their process. One without
# tests reaches none of its statements. Not judged are packages that have no statements, which are named all the same, such as those of tests
# only; and those in which every file is generated: what is tested there is the generator.
#
# The examples that tests of internal/interop run as processes are built for counting (PB_GOCOVERDIR), and stand in a table of their own with
# what those processes reached. That is for reading and is not judged.
set -euo pipefail
cd "$(dirname "$0")/.."

# How many percent are wanted: of what reads a peer's bytes more than of the others.
most=92
most_of="codec/banana codec/jelly broker"
usual=85

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/processes"

# generated prints the packages of this directory's module in which there is no file of ours.
generated() {
  local dir package files
  go list -f '{{.Dir}} {{.ImportPath}} {{join .GoFiles " "}}' ./... | while read -r dir package files; do
    # shellcheck disable=SC2086 # they are several
    [[ -z $files || -n $(cd "$dir" && grep -L '^// Code generated .* DO NOT EDIT\.$' $files) ]] || echo "$package"
  done
}

# judge reads what go test says and prints the table; what is too little it writes to $work/low.
judge() {
  awk -v generated="$1" -v most="$most" -v most_of="$most_of" -v usual="$usual" -v low="$work/low" '
    BEGIN {
      split(generated, list, /[ \n]+/); for (i in list) skip[list[i]] = 1
      split(most_of, list, " "); for (i in list) wanted[list[i]] = most
    }
    /coverage: / {
      name = value = ""
      for (i = 1; i <= NF; i++) if ($i == "coverage:") value = $(i + 1)
      for (i = 1; i <= NF; i++) if ($i ~ /^github.com\//) { name = $i; break }
      if (name == "") next # a package that failed: it is named by another line
      path = name
      sub("github.com/perspectivebroker/pb/?", "", path)
      if (name in skip) { printf "%8s  %s\n", "made", path; next }
      if (value !~ /%$/) { printf "%8s  %s\n", "-", path; next }
      least = path in wanted ? wanted[path] : usual
      short = value + 0 < least
      printf "%8s  %s%s\n", value, path, short ? "  BELOW " least "%" : ""
      if (short) printf "%s: %s, and %s%% are wanted\n", path, value, least >> low
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
  made=$(generated)
  PB_GOCOVERDIR=$work/processes go test -coverprofile=cover.out ./... | judge "$made" || failed=1
  if [[ -s cover.out ]]; then
    # Nothing that is generated counts in the whole either.
    while read -r package; do
      [[ -z $package ]] || sed -i "\|^$package/[^/]*:|d" cover.out
    done <<<"$made"
    go tool cover -func=cover.out | awk '/^total:/ { printf "%8s  all\n", $NF }'
    go tool cover -html=cover.out -o cover.html
    echo "          ($module/cover.html shows the lines)"
  fi
  popd >/dev/null
done
if [[ -n $(ls "$work/processes") ]]; then
  echo "run as processes:"
  go tool covdata percent -i="$work/processes" | awk '{ sub("github.com/perspectivebroker/pb/", "", $1); printf "%8s  %s\n", $3, $1 }'
fi
if [[ -s $work/low ]]; then
  echo "too little is reached:" >&2
  sed 's/^/  /' "$work/low" >&2
  failed=1
fi
exit $failed
