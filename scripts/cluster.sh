#!/usr/bin/env bash
# A real Kubernetes of one node, for tests and for trying things: etcd, kube-apiserver,
# kube-controller-manager, kube-scheduler, kubelet with containerd, kube-proxy and CoreDNS.
#   scripts/cluster.sh [--here] DIR [IMAGE.tar …]
# In:  an empty DIR of at most 60 characters for all of its state; archives of images for its node, with
#      their names inside, as make image, buildah push oci-archive:FILE:NAME and docker save write them; the programs that scripts/test-deps.sh makes; root.
# Out: DIR/kubeconfig (an administrator's), DIR/log/*, and DIR/ready when the node is. DIR/pid is a
#      process in the node's namespaces, for nsenter. All of it ends with this script; with --here the
#      network namespace is the caller's. /var/run is the node's own either way.
# Addresses: node 10.99.0.1, API 10.99.0.1:6443, Services 10.96.0.0/16, pods 10.88.0.0/24.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cache=$(realpath -m "${LATEEN_CACHE:-$root/.cache}")
PATH=$cache/bin:$PATH:/usr/sbin:/sbin
node=10.99.0.1

# What must be undone by somebody who outlives the namespaces.
outside() {
  dir=$(realpath -m "$1"); shift
  [ "${#dir}" -le 60 ] || { echo "cluster: $dir is too long a path for Unix sockets" >&2; exit 1; }
  for image in "$@"; do
    [ -r "$image" ] || { echo "cluster: cannot read the image $image" >&2; exit 1; }
    shift; set -- "$@" "$(realpath "$image")"
  done
  for one in "$dir" "$cache" "$root" "$@"; do
    case $one in "$(realpath -m /var/run)"/*)
      echo "cluster: $one would be hidden by the cluster's own /var/run: take another folder" >&2; exit 1 ;;
    esac
  done
  mkdir -p "$dir"
  enter=(unshare --mount --pid --fork --kill-child --mount-proc)
  [ "$here" = yes ] || enter+=(--net)
  # Whatever ends this script ends the cluster: killed, it cannot say so itself.
  setpriv --pdeathsig KILL "${enter[@]}" "$0" --inside "$dir" "$@" &
  inside=$!
  trap 'kill -KILL $inside 2>/dev/null || true; wait $inside 2>/dev/null || true; cgroups_remove' EXIT
  trap 'exit 0' INT TERM
  until first=$(pgrep -P $inside); do kill -0 $inside && sleep 0.02; done
  echo "$first" >"$dir/pid"
  wait $inside
}

controllers() { awk '!/^#/ && $4 == 1 {print $1}' /proc/cgroups; }
is_v1() { grep -q '^[1-9]' /proc/self/cgroup; }

# The test's mount namespace may have a new /sys, which has no cgroups.
cgroups_mount() {
  if is_v1; then
    [ -d /sys/fs/cgroup/memory ] && return
    mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
    for one in $(controllers); do
      mkdir "/sys/fs/cgroup/$one"
      mount -t cgroup -o "$one" "$one" "/sys/fs/cgroup/$one" || rmdir "/sys/fs/cgroup/$one"
    done
    # Those without a controller: runc puts what is executed in a container into every one that it finds.
    for one in $(sed -n 's/^[0-9]*:name=\([^:]*\):.*/\1/p' /proc/self/cgroup); do
      mkdir "/sys/fs/cgroup/$one"
      mount -t cgroup -o "none,name=$one" "$one" "/sys/fs/cgroup/$one"
    done
  elif [ ! -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
  fi
}

cgroup_roots() { if is_v1; then ls -d /sys/fs/cgroup/*/; else echo /sys/fs/cgroup/; fi; }

# What was killed cannot remove its containers' groups itself.
cgroups_remove() {
  cgroups_mount 2>/dev/null || true
  for container in "$dir"/run/containerd/io.containerd.runtime.v2.task/k8s.io/*/; do
    for at in $(cgroup_roots); do
      group=${at}k8s.io/$(basename "$container")
      # The kernel lets a group go a moment after its last process.
      for _ in 1 2 3 4 5; do
        [ -d "$group" ] || break
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
        sleep 0.1
      done
    done
  done
}

# The image of what holds a pod's namespaces, which the containers' own images know nothing of.
pause() {
  local at=$dir/state/pause blobs=$dir/state/pause/blobs/sha256
  mkdir -p "$blobs" "$at/layer"
  cp "$cache/bin/pause" "$at/layer/pause"
  tar -cf "$at/layer.tar" --sort=name --owner=0 --group=0 --mtime=@0 -C "$at/layer" pause
  local layer; layer=$(blob "$at/layer.tar")
  local config='{"architecture":"'$(go_architecture)'","os":"linux","config":{"Entrypoint":["/pause"]},"rootfs":{"type":"layers","diff_ids":["sha256:'
  printf '%s%s"]}}' "$config" "${layer%% *}" >"$at/config"
  local of=application/vnd.oci.image
  printf '{"schemaVersion":2,"mediaType":"%s","config":%s,"layers":[%s]}' "$of.manifest.v1+json" \
    "$(descriptor $of.config.v1+json "$(blob "$at/config")")" "$(descriptor $of.layer.v1.tar "$layer")" >"$at/manifest"
  local named='"annotations":{"org.opencontainers.image.ref.name":"localhost/pause:1"}'
  local manifest; manifest=$(descriptor $of.manifest.v1+json "$(blob "$at/manifest")")
  printf '{"schemaVersion":2,"manifests":[%s,%s}]}' "${manifest%\}}" "$named" >"$at/index.json"
  printf '{"imageLayoutVersion":"1.0.0"}' >"$at/oci-layout"
  tar -cf "$dir/state/pause.tar" -C "$at" oci-layout index.json blobs
  rm -rf "$at"
}

go_architecture() { case $(uname -m) in x86_64) echo amd64;; aarch64) echo arm64;; *) uname -m;; esac; }

# blob FILE: moves it to where its digest has it; prints digest and size.
blob() {
  local digest; digest=$(sha256sum "$1" | cut -d' ' -f1)
  echo "$digest $(stat -c %s "$1")"
  mv "$1" "$blobs/$digest"
}

# descriptor TYPE "DIGEST SIZE"
descriptor() { printf '{"mediaType":"%s","digest":"sha256:%s","size":%s}' "$1" "${2% *}" "${2#* }"; }

# An archive without a name inside brings no image, and ctr says nothing of it.
import() {
  local brought
  brought=$(ctr -a "$dir/run/containerd.sock" -n k8s.io images import "$1" 2>&1) ||
    { echo "cluster: $1 is no archive of images: $brought" >&2; return 1; }
  [ -n "$brought" ] || {
    echo "cluster: $1 brings no image: none has a name inside, as make image writes it (org.opencontainers.image.ref.name)" >&2
    return 1
  }
}

certificates() {
  mkdir -p "$dir/pki"; cd "$dir/pki"
  openssl ecparam -genkey -name prime256v1 -noout -out ca.key
  openssl req -x509 -new -key ca.key -subj /CN=kubernetes-ca -days 30 -out ca.crt 2>/dev/null
  openssl genrsa -out sa.key 2048 2>/dev/null
  openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
  certificate apiserver /CN=kube-apiserver \
    DNS:kubernetes.default.svc,DNS:kubernetes.default,DNS:kubernetes,IP:10.96.0.1,IP:$node,IP:127.0.0.1
  certificate admin /O=system:masters/CN=admin DNS:admin
  certificate apiserver-kubelet /O=system:masters/CN=kube-apiserver-kubelet-client DNS:apiserver
  certificate kubelet /O=system:nodes/CN=system:node:node1 DNS:node1,IP:$node
  certificate controller-manager /CN=system:kube-controller-manager DNS:controller-manager
  certificate scheduler /CN=system:kube-scheduler DNS:scheduler
  certificate proxy /CN=system:kube-proxy DNS:proxy
  cd "$root"
  for user in kubelet controller-manager scheduler proxy; do
    kubeconfig "$user" >"$dir/pki/$user.conf"
  done
  (umask 077; kubeconfig admin >"$dir/kubeconfig")
}

# certificate FILE SUBJECT NAMES
certificate() {
  openssl ecparam -genkey -name prime256v1 -noout -out "$1.key"
  openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
  printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$3" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile "$1.ext" \
    -out "$1.crt" 2>/dev/null
}

kubeconfig() {
  cat <<EOF
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://$node:6443", certificate-authority-data: $(base64 -w0 "$dir/pki/ca.crt")}}]
users:
- name: u
  user: {client-certificate-data: $(base64 -w0 "$dir/pki/$1.crt"), client-key-data: $(base64 -w0 "$dir/pki/$1.key")}
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
EOF
}

start() {
  local name=$1; shift
  "$@" >"$dir/log/$name" 2>&1 &
  started[$!]=$name
}

all_run() {
  for one in "${!started[@]}"; do
    kill -0 "$one" 2>/dev/null || { echo "cluster: ${started[$one]} ended:" >&2; tail -3 "$dir/log/${started[$one]}" >&2; return 1; }
  done
}

# The standard paths of a node, in this mount namespace only.
files() {
  mkdir -p "$dir"/{log,run,plugins,state/{etcd,containerd,kubelet,cni,opt,pod-logs},etc/{containerd,cni,kubernetes}}
  cp /etc/hosts "$dir/etc/hosts"
  mount --bind "$dir/etc/hosts" /etc/hosts
  mkdir -p /etc/containerd
  mount --bind "$dir/etc/containerd" /etc/containerd
  ln -s "$cache"/cni/* "$dir/plugins"
  cat >"$dir/etc/cni/10-bridge.conflist" <<EOF
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$dir/state/cni",
            "ranges": [[{"subnet": "10.88.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
EOF
  cat >"$dir/etc/containerd/config.toml" <<EOF
version = 2
root = "$dir/state/containerd"
state = "$dir/run/containerd"

[grpc]
  address = "$dir/run/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$dir/plugins"
    conf_dir = "$dir/etc/cni"

[plugins."io.containerd.internal.v1.opt"]
  path = "$dir/state/opt"
EOF
  cat >"$dir/etc/kubernetes/kubelet.yaml" <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://$dir/run/containerd.sock
clusterDNS: [$node]
clusterDomain: cluster.local
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
podLogsDir: $dir/state/pod-logs
resolvConf: /dev/null
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $dir/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $dir/pki/kubelet.crt
tlsPrivateKeyFile: $dir/pki/kubelet.key
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
imageGCHighThresholdPercent: 100
EOF
  cat >"$dir/etc/kubernetes/proxy.yaml" <<EOF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: $dir/pki/proxy.conf}
hostnameOverride: node1
clusterCIDR: 10.88.0.0/24
conntrack: {maxPerCore: 0, min: 0}
metricsBindAddress: 127.0.0.1:10249
healthzBindAddress: 127.0.0.1:10256
EOF
  cat >"$dir/etc/kubernetes/Corefile" <<EOF
.:53 {
  bind $node
  errors
  hosts /etc/hosts {
    reload 1s
    fallthrough
  }
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $dir/kubeconfig
    ttl 5
  }
}
EOF
}

network() {
  ip link set lo up
  ip link add node0 type veth peer name node0-peer
  ip address add $node/24 dev node0
  ip link set node0 up
  ip link set node0-peer up
  ip route add default via 10.99.0.254 dev node0
  sysctl -qw net.ipv4.ip_forward=1
}

control_plane() {
  local pki=$dir/pki etcd=http://127.0.0.1:2379
  start etcd etcd --data-dir "$dir/state/etcd" --unsafe-no-fsync --listen-client-urls $etcd \
    --advertise-client-urls $etcd --listen-peer-urls http://127.0.0.1:2380
  start apiserver kube-apiserver --etcd-servers=$etcd --bind-address=$node --advertise-address=$node \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
    --client-ca-file="$pki/ca.crt" --service-account-key-file="$pki/sa.pub" \
    --service-account-signing-key-file="$pki/sa.key" --service-cluster-ip-range=10.96.0.0/16 \
    --service-account-issuer=https://kubernetes.default.svc --authorization-mode=Node,RBAC \
    --enable-admission-plugins=NodeRestriction --kubelet-certificate-authority="$pki/ca.crt" \
    --kubelet-client-certificate="$pki/apiserver-kubelet.crt" \
    --kubelet-client-key="$pki/apiserver-kubelet.key" --allow-privileged=true --kubelet-preferred-address-types=InternalIP
  until kubectl --kubeconfig "$dir/kubeconfig" get --raw /readyz >/dev/null 2>&1; do sleep 0.2; done
  for half in controller-manager scheduler; do
    local own=$pki/$half.conf
    local flags=(--kubeconfig="$own" --authentication-kubeconfig="$own"
      --authorization-kubeconfig="$own" --leader-elect=false --bind-address=127.0.0.1)
    [ $half = scheduler ] || flags+=(--service-account-private-key-file="$pki/sa.key"
      --root-ca-file="$pki/ca.crt" --use-service-account-credentials)
    start "$half" "kube-$half" "${flags[@]}"
  done
}

# The node's own: containerd keeps pods' network namespaces and its shims' sockets here, pods sockets of theirs,
# and what they leave behind ends with this mount namespace.
own_run() {
  local at; at=$(realpath -m /var/run)
  mkdir -p "$at"
  mount -t tmpfs -o mode=755 tmpfs "$at"
  mkdir "$at/netns"
}

inside() {
  dir=$1; shift
  declare -gA started=()
  mount --make-rshared /
  own_run
  cgroups_mount
  files
  mkdir -p "$dir/run/containerd"
  network
  start containerd containerd --config /etc/containerd/config.toml
  until ctr -a "$dir/run/containerd.sock" version >/dev/null 2>&1; do sleep 0.1; done
  pause
  for image in "$dir/state/pause.tar" "$@"; do import "$image"; done
  certificates
  control_plane
  start kubelet kubelet --kubeconfig="$dir/pki/kubelet.conf" --config="$dir/etc/kubernetes/kubelet.yaml" \
    --root-dir="$dir/state/kubelet" --hostname-override=node1 --node-ip=$node
  start kube-proxy kube-proxy --config="$dir/etc/kubernetes/proxy.yaml"
  start coredns coredns -conf "$dir/etc/kubernetes/Corefile"
  until kubectl --kubeconfig "$dir/kubeconfig" get node node1 2>/dev/null | grep -q ' Ready'; do sleep 0.2; done
  all_run
  touch "$dir/ready"
  wait
}

here=no
case ${1:-} in
  --inside) shift; inside "$@"; exit ;;
  --here) here=yes; shift ;;
esac
[ $# -gt 0 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
outside "$@"
