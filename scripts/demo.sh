#!/usr/bin/env bash
# The echo demo on this machine: a mesh, an echo server and a client in it, one request's way.
# Usage: demo.sh LATEEN-BINARY. Ctrl-C ends everything that it started.
set -euo pipefail
lateen=$(realpath "$1")
bin=$(dirname "$lateen")
root=$(cd "$(dirname "$0")/.." && pwd)
home=$(mktemp -d /tmp/lateen-demo.XXXXXX)
pids=()

# Impatience must not leave half of it running, and a terminal that is gone cannot be written to.
deafen() { trap '' INT TERM HUP PIPE; }
finish() {
  deafen
  trap - EXIT
  set +e
  { echo; echo "demo: stopping"; } 2>/dev/null
  # The newest first: client, server, mesh.
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    kill -TERM "${pids[i]}" 2>/dev/null
    wait "${pids[i]}" 2>/dev/null
  done
  rm -rf "$home"
  echo "demo: stopped, nothing of it is left" 2>/dev/null
}
trap finish EXIT
trap 'deafen; exit 129' HUP
trap 'deafen; exit 130' INT
trap 'deafen; exit 143' TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }
show() { printf '$ %s\n' "$*"; "$@"; }
# Background programs get no terminal: Ctrl-C reaches this script alone, which ends them in order.
start() { setsid "$@" & pids+=($!); }
await() { # await SECONDS COMMAND…: until it succeeds
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { echo "demo: gave up waiting for: $*" >&2; exit 1; }
    sleep 0.1
  done
}
answers() { [ "$(printf hello | nc -q1 -w2 127.0.0.1 31400 2>/dev/null)" = hello ]; }

say "1. The mesh: a Kubernetes API, the control plane and the ingress gateway"
echo "\$ lateen up --home $home"
start "$lateen" up --home "$home" </dev/null
await 40 grep -q . "$home/kubeconfig"
export KUBECONFIG=$home/kubeconfig
await 40 kubectl get --raw /readyz
await 40 test -S "$home/run/gateway.admin.sock"

say "2. The echo service's YAML, applied with kubectl"
show kubectl apply -f "$root/examples/echo/echo-server.yaml"
show kubectl label namespace default istio-injection=enabled
show kubectl get namespace -L istio-injection

say "3. The echo server and a client that dials it by its Service's name, each with its own sidecar"
echo "\$ lateen run --name echo-server --labels app=echo-server,version=v1 -- echo-server 8020"
start "$lateen" run --home "$home" --name echo-server --labels app=echo-server,version=v1 \
  -- "$bin/echo-server" 8020 </dev/null
show kubectl wait deployment/echo-server --for=condition=Available --timeout=30s
await 30 answers
echo "\$ lateen run --name echo-client --labels app=echo-client,version=v1 -- echo-client tcp-echo-server 8020 2000"
start "$lateen" run --home "$home" --name echo-client --labels app=echo-client,version=v1 \
  -- "$bin/echo-client" tcp-echo-server 8020 2000 </dev/null
show kubectl get deployment,service,workloadentry,gateway.networking.istio.io,virtualservice

say "4. One request through the gateway, and its way"
echo "\$ printf hello | nc -q1 127.0.0.1 31400"
printf hello | nc -q1 127.0.0.1 31400
echo
show "$lateen" explain --home "$home" 31400

say "Try it yourself, in another terminal (Ctrl-C here ends the demo):"
cat <<TEXT
  export KUBECONFIG=$KUBECONFIG
  printf hello | nc -q1 127.0.0.1 31400
  $lateen explain --home $home 31400
  kubectl describe deployment echo-server
  # who talks to whom, live: the address that "graph" printed above, in a browser
  kubectl delete virtualservice tcp-echo    # and the port closes; apply the file again and it opens
  kubectl apply -f $root/examples/echo/echo-server.yaml
TEXT
if [ -n "${LATEEN_DEMO_ONCE:-}" ]; then exit 0; fi
wait "${pids[0]}"
