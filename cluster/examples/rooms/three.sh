#!/usr/bin/env bash
# Starts an etcd and three nodes of rooms on this machine, prints where users connect, and ends all of them with Ctrl-C.
# Without etcd in the PATH the first node brings its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
pids=()
finish() {
  trap - EXIT INT TERM
  # Nodes before etcd: they tell it that they leave.
  for pid in "${pids[@]:1}" "${pids[@]:0:1}"; do kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; done
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 0' INT TERM

echo "building rooms"
go build -o "$dir/rooms" ./examples/rooms
go run ./examples/authority -dir "$dir/certs" a b c

# start NAME ARG... starts a node and waits until it serves.
start() {
  local name=$1; shift
  "$dir/rooms" -name "$name" -listen pb://127.0.0.1:0 -link pbs://127.0.0.1:0 -ca "$dir/certs/ca.pem" \
    -cert "$dir/certs/$name.pem" -key "$dir/certs/$name-key.pem" -cred alice=secret -cred bob=secret "$@" \
    >"$dir/$name.out" 2>"$dir/$name.log" &
  local pid=$!
  pids+=("$pid")
  until grep -q '^listening ' "$dir/$name.out"; do
    kill -0 "$pid" 2>/dev/null || { echo "node $name has ended:"; cat "$dir/$name.log"; exit 1; }
    sleep 0.1
  done
  printf 'node %s   %s   process %s   log %s\n' "$name" "$(sed -n 's/^listening //p' "$dir/$name.out")" "$pid" "$dir/$name.log"
}

if command -v etcd >/dev/null; then
  client=http://127.0.0.1:${ETCD_PORT:-12379} peer=http://127.0.0.1:${ETCD_PEER_PORT:-12380}
  etcd --data-dir "$dir/etcd" --listen-client-urls "$client" --advertise-client-urls "$client" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer" \
    >"$dir/etcd.log" 2>&1 &
  pids+=($!)
  start a -etcd "$client"
else
  start a -embedded "$dir/embedded"
  client=$(cat "$dir/embedded/url")
fi
echo "etcd     $client"
start b -etcd "$client"
start c -etcd "$client"
echo "users    alice and bob, password secret"
echo "try      PB_PASSWORD=secret go -C cmd run ./pb call -u alice URL members"
echo "Ctrl-C ends the cluster"
wait
