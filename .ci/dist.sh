#!/usr/bin/env bash
# Builds buildbot-worker for every system into a directory (dist), also compressed, with checksums. Fails if a binary
# exceeds its size, or if the one for Linux on amd64 differs when it is built again from a copy of the sources in another
# directory. docs/buildbot.md says what the sizes consist of.
set -euo pipefail
cd "$(dirname "$0")/.."
dist=$(realpath -m "${1:-dist}")
read -ra targets <<<"${TARGETS:-linux/amd64 linux/arm64 linux/386 linux/arm freebsd/amd64 openbsd/amd64 darwin/amd64 \
darwin/arm64 windows/amd64}"
most=17000000 most_compressed=7000000

# build OS/ARCH FILE builds in the current directory. Without HTTP/2, which nothing needs here, the binary is smaller.
build() {
  CGO_ENABLED=0 GOFLAGS= GOOS=${1%/*} GOARCH=${1#*/} GOARM=6 go -C cmd build -trimpath -buildvcs=false \
    -tags nethttpomithttp2 -ldflags '-s -w -buildid=' -o "$2" ./buildbot-worker
}

rm -rf "$dist" && mkdir -p "$dist"
for target in "${targets[@]}"; do
  file=$dist/buildbot-worker-${target/\//-}
  [[ $target != windows/* ]] || file+=.exe
  build "$target" "$file"
  gzip -9 --no-name --keep "$file"
  size=$(stat -c %s "$file") compressed=$(stat -c %s "$file.gz")
  printf '%-14s %9d bytes, %8d compressed\n' "$target" "$size" "$compressed"
  [[ $size -le $most && $compressed -le $most_compressed ]] ||
    { echo "dist: $file has more than $most bytes, or $most_compressed compressed" >&2; exit 1; }
done

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
tar c --exclude=./dist --exclude=./bin --exclude=./.git . | tar x -C "$copy"
(cd "$copy" && build linux/amd64 "$copy/again")
cmp "$copy/again" "$dist/buildbot-worker-linux-amd64" || { echo "dist: the build is not reproducible" >&2; exit 1; }
! readelf -l "$dist/buildbot-worker-linux-amd64" 2>/dev/null | grep -q INTERP ||
  { echo "dist: the binary is not static" >&2; exit 1; }

(cd "$dist" && sha256sum -- * >SHA256SUMS && cat SHA256SUMS)
