#!/usr/bin/env bash
# Installs what the tests need: stock Twisted with its listings, Buildbot, Libervia, the servers for the tests of the
# modules below cred/ and of cluster/, a browser for the inspector's page, and a C compiler for the race detector. Exits 1
# if something is still missing afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."

listing=/usr/share/doc/twisted-doc/howto/listings/pb/pb1server.py

twisted() { /usr/bin/python3 -c 'import twisted.spread.pb' 2>/dev/null; }
buildbot() { [[ -x /usr/bin/buildbot && -x /usr/bin/buildbot-worker ]]; }
libervia() { [[ -x /usr/bin/libervia-backend ]]; }
compiler() { command -v "$(go env CC)" >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1; }

# server succeeds if one of the given files is executable.
server() { local path; for path in "$@"; do [[ -x $path ]] && return 0; done; return 1; }

missing=()
twisted || missing+=(python3-twisted)
[[ -f $listing ]] || missing+=(twisted-doc)
buildbot || missing+=(buildbot buildbot-worker)
libervia || missing+=(libervia-backend)
compiler || missing+=(gcc libc6-dev)
[[ ! -d cred/sqlstore ]] || server /usr/lib/postgresql/*/bin/initdb || missing+=(postgresql)
[[ ! -d broker/inspect/browsertest ]] || server /usr/bin/{chromium,chromium-browser,google-chrome{,-stable}} ||
  missing+=(chromium)
[[ ! -d cred/ldapstore ]] || server /usr/sbin/slapd || missing+=(slapd ldap-utils)
[[ ! -d cluster ]] || server /usr/bin/etcd || missing+=(etcd-server)
[[ ! -d cluster ]] || server /bin/ip /usr/sbin/ip || missing+=(iproute2)
if [[ ${#missing[@]} -eq 0 ]]; then
  exit 0
fi

give_up() {
  echo "stock: $1"
  echo "stock: tests that need ${missing[*]} WILL BE SKIPPED (-race needs gcc)."
  echo "stock: to install them: apt-get install ${missing[*]}"
  exit 1
}

command -v apt-get >/dev/null 2>&1 || give_up "apt-get not found."
root=()
if [[ $(id -u) -ne 0 ]]; then
  sudo -n true 2>/dev/null || give_up "installing packages needs root, and sudo asks for a password."
  root=(sudo -n)
fi

echo "stock: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${root[@]}" apt-get update -q || give_up "apt-get update failed."
"${root[@]}" apt-get install -q -y --no-install-recommends "${missing[@]}" || give_up "apt-get install failed."

# Container images often exclude /usr/share/doc, which contains the listings.
if [[ ! -f $listing ]]; then
  echo "stock: dpkg excludes /usr/share/doc on this machine; extracting twisted-doc"
  at=$(mktemp -d)
  trap 'rm -rf "$at"' EXIT
  (cd "$at" && apt-get download -q twisted-doc)
  "${root[@]}" dpkg-deb -x "$at"/twisted-doc_*.deb /
fi

twisted || give_up "python3-twisted is installed, but twisted.spread.pb cannot be imported."
[[ -f $listing ]] || give_up "twisted-doc is installed but has no $listing."
echo "stock: ready"
