#!/usr/bin/env bash
# What `make demo` needs besides Rust: kubectl and nc. Skips what is there.
set -euo pipefail
need=()
command -v kubectl >/dev/null || need+=(kubernetes-client)
command -v nc >/dev/null || need+=(netcat-openbsd)
[ ${#need[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "please install: ${need[*]} (sudo apt-get install ${need[*]})" >&2
  exit 1
fi
echo "installing ${need[*]}"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${need[@]}" >/dev/null
