#!/usr/bin/env bash
# Checks the subjects of commits: "package: imperative, lower case", at most 72 characters. It checks the commits since
# the last tag; without a tag, since the commit that added this script. In a shallow clone it checks what is there.
set -euo pipefail
cd "$(dirname "$0")/.."
git rev-parse --git-dir >/dev/null 2>&1 || { echo "subjects: not a git repository; nothing checked" >&2; exit 0; }
base=$(git describe --tags --abbrev=0 2>/dev/null || git log --diff-filter=A --format=%H -1 -- .ci/subjects.sh)
[[ -n $base ]] || { echo "subjects: nothing committed yet" >&2; exit 0; }
failed=0
while read -r commit subject; do
  [[ -n $commit ]] || continue
  [[ $subject != 'Revert "'* ]] || continue
  if ! grep -qE '^[a-z0-9._/, -]+: [^[:upper:][:space:]]' <<<"$subject" || [[ ${#subject} -gt 72 ]]; then
    echo "$commit: subject must be 'package: imperative, lower case', at most 72 characters: $subject" >&2
    failed=1
  fi
done < <(git log --no-merges --format='%h %s' "$base..HEAD")
exit $failed
