#!/usr/bin/env bash
# Asks the Go vulnerability database about every module of ours. It needs vuln.go.dev; where that cannot be reached it says so and exits 2.
set -uo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/bin
GOBIN=$bin go install golang.org/x/vuln/cmd/govulncheck@latest || { echo "vuln: govulncheck cannot be installed" >&2; exit 2; }
status=0
for module in $(.ci/modules.sh); do
  echo "== $module"
  out=$("$bin/govulncheck" -C "$module" ./... 2>&1)
  code=$?
  echo "$out"
  if [[ $code -ne 0 ]]; then
    if grep -q 'fetching vulnerabilities' <<<"$out"; then
      echo "vuln: NOTHING WAS CHECKED: the vulnerability database cannot be reached from here" >&2
      exit 2
    fi
    status=1
  fi
done
exit $status
