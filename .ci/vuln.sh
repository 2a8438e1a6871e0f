#!/usr/bin/env bash
# Checks every module against the Go vulnerability database. Exits 2 if vuln.go.dev cannot be reached.
set -uo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/bin
GOBIN=$bin go install golang.org/x/vuln/cmd/govulncheck@latest ||
  { echo "vuln: cannot install govulncheck" >&2; exit 2; }
status=0
for module in $(.ci/modules.sh); do
  echo "== $module"
  out=$("$bin/govulncheck" -C "$module" ./... 2>&1)
  code=$?
  echo "$out"
  if [[ $code -ne 0 ]]; then
    if grep -q 'fetching vulnerabilities' <<<"$out"; then
      echo "vuln: NOTHING WAS CHECKED: cannot reach the vulnerability database" >&2
      exit 2
    fi
    status=1
  fi
done
exit $status
