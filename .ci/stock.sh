#!/usr/bin/env bash
# Sees to it that the peers of the tests are there: stock Twisted with its listings, the servers that the modules
# below cred/ are tried on, and a C compiler for the race detector. Says what it does; exits 1 when something is
# still missing afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."

listing=/usr/share/doc/twisted-doc/howto/listings/pb/pb1server.py

twisted() { /usr/bin/python3 -c 'import twisted.spread.pb' 2>/dev/null; }
buildbot() { [[ -x /usr/bin/buildbot && -x /usr/bin/buildbot-worker ]]; }
compiler() { command -v "$(go env CC)" >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1; }

# server is true where one of these files exists.
server() { local path; for path in "$@"; do [[ -x $path ]] && return 0; done; return 1; }

want=()
twisted || want+=(python3-twisted)
[[ -f $listing ]] || want+=(twisted-doc)
buildbot || want+=(buildbot buildbot-worker)
compiler || want+=(gcc libc6-dev)
[[ ! -d cred/sqlstore ]] || server /usr/lib/postgresql/*/bin/initdb || want+=(postgresql)
[[ ! -d cred/ldapstore ]] || server /usr/sbin/slapd || want+=(slapd ldap-utils)
if [[ ${#want[@]} -eq 0 ]]; then
  exit 0
fi

without() {
  echo "stock: $1"
  echo "stock: without ${want[*]} the tests that need them WILL BE SKIPPED (-race needs gcc)."
  echo "stock: to have them: apt-get install ${want[*]}"
  exit 1
}

command -v apt-get >/dev/null 2>&1 || without "there is no apt-get on this machine."
root=()
if [[ $(id -u) -ne 0 ]]; then
  sudo -n true 2>/dev/null || without "installing needs root, and sudo asks for a password."
  root=(sudo -n)
fi

echo "stock: installing ${want[*]} for the tests"
export DEBIAN_FRONTEND=noninteractive
"${root[@]}" apt-get update -q || without "apt-get update failed."
"${root[@]}" apt-get install -q -y --no-install-recommends "${want[@]}" || without "apt-get install failed."

# Container images are often set up to leave out /usr/share/doc, which is where the listings live.
if [[ ! -f $listing ]]; then
  echo "stock: this machine leaves out /usr/share/doc; unpacking twisted-doc by hand"
  at=$(mktemp -d)
  trap 'rm -rf "$at"' EXIT
  (cd "$at" && apt-get download -q twisted-doc)
  "${root[@]}" dpkg-deb -x "$at"/twisted-doc_*.deb /
fi

twisted || without "python3-twisted is installed but does not import."
[[ -f $listing ]] || without "twisted-doc is installed but has no $listing."
echo "stock: ready"
