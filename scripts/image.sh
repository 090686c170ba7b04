#!/bin/sh
# Builds the container image: one static binary and its bill of materials, from scratch.
# In:  Rust, a C compiler with the static libc, and buildah or docker; IMAGE (default lateen-mesh/lateen:VERSION, which
#      is what lateen install asks for); BINARY, a static binary that is there already.
# Out: the image in the tool's store, and in target/image: lateen, sbom.spdx.json, and with buildah
#      lateen.oci.tar, which is the same for the same sources, compiler and C library wherever it is built. ctr,
#      podman load and docker load read the image's name in it. With IPTABLES=yes and Debian's package iptables a
#      second image, IMAGE-iptables and lateen-iptables.oci.tar, which has the iptables programs besides.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
image=${IMAGE:-lateen-mesh/lateen:$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -1)}
limit=$((40 * 1024 * 1024))
target=${CARGO_TARGET_DIR:-$root/target}
out=$target/image
cargo_home=${CARGO_HOME:-$HOME/.cargo}
triple=$(rustc -vV | sed -n 's/^host: //p')
# Times in the image: the last commit's.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH

say() { echo "image: $*" >&2; }
die() { say "$*"; exit 1; }

# No path of this machine goes into the binary, in Rust's panics or in C's. The table by which a program is
# moved to its address is two megabytes, packed it is nothing; functions that came out equal are a megabyte, and
# one of each is enough (LLVM's linker can tell, Rust's on x86-64). Where the compiler itself asks for full RELRO it
# calls through a table, in case functions are elsewhere; the linker is asked for it instead, and calls are direct.
build() {
  remap="--remap-path-prefix=$root=/src --remap-path-prefix=$cargo_home/registry/src=/cargo"
  variable=CFLAGS_$(echo "$triple" | tr - _)
  case $triple in x86_64-*) fold="-C link-arg=-Wl,--icf=all";; *) fold=;; esac
  say "building for $triple"
  env CARGO_INCREMENTAL=0 \
    RUSTFLAGS="-C target-feature=+crt-static -C relro-level=partial $remap --remap-path-prefix=$target=/target" \
    "$variable=-ffile-prefix-map=$root=/src -ffile-prefix-map=$cargo_home/registry/src=/cargo -ffile-prefix-map=$target=/target" \
    cargo rustc --release --locked --target "$triple" -p lateen-cli --bin lateen -- \
    -C link-arg=-Wl,-z,now,-z,pack-relative-relocs $fold
}

# What the kernel needs nothing else for.
check_static() {
  headers=$(readelf --program-headers --dynamic --wide "$1")
  case $headers in
    *INTERP*|*NEEDED*) die "$1 is not static: check that libc.a is installed (libc6-dev)";;
  esac
  case $headers in
    *RELRO*BIND_NOW*) ;;
    *) die "$1 has tables of addresses that stay writable: link it with -z relro -z now";;
  esac
}

# The files of the image as they are once it is unpacked.
check_size() {
  size=$(cat "$@" | wc -c)
  [ "$size" -le "$limit" ] || die "the image has $size bytes and may have $limit"
  say "the image has $size bytes of at most $limit"
}

# The name in full, as the kubelet asks its runtime for it.
full_name() {
  case ${1##*/} in *:*|*@*) name=$1;; *) name=$1:latest;; esac
  case ${name%%/*} in
    "$name") echo "docker.io/library/$name";;
    *.*|*:*|localhost) echo "$name";;
    *) echo "docker.io/$name";;
  esac
}

# The first digests in a file.
digests() { grep -o '"digest":"sha256:[0-9a-f]*"' "$1" | sed 's/.*:\([0-9a-f]*\)"/\1/'; }

# What docker load reads where it keeps images in its own store: the first digest of a manifest is the configuration's.
docker_manifest() {
  blobs=$out/oci/blobs/sha256
  digests "$blobs/$(digests "$out/oci/index.json" | head -1)" | {
    read -r config
    layers=$(sed 's|.*|"blobs/sha256/&"|' | paste -sd,)
    printf '[{"Config":"blobs/sha256/%s","RepoTags":["%s"],"Layers":[%s]}]\n' "$config" "$1" "$layers"
  } >"$out/oci/manifest.json"
}

# with_buildah IMAGE FILE ARCHIVE [ARGUMENT...]: the image of a Containerfile, in the store and as an archive.
with_buildah() {
  image=$1 file=$2 archive=$3; shift 3
  buildah build --quiet --timestamp "$SOURCE_DATE_EPOCH" --tag "$image" "$@" \
    --file "$root/deploy/image/$file" "$out" >/dev/null
  rm -rf "$out/oci"
  full=$(full_name "$image")
  # buildah writes it as org.opencontainers.image.ref.name.
  buildah push --quiet "$image" "oci:$out/oci:$full"
  docker_manifest "$full"
  # The archive's own order and times are nobody's but ours.
  tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
    -cf "$out/$archive" -C "$out/oci" .
  rm -rf "$out/oci"
  say "built $image, and $out/$archive"
}

with_docker() {
  image=$1 file=$2; shift 3
  docker build --quiet --tag "$image" "$@" --file "$root/deploy/image/$file" "$out" >/dev/null
  say "built $image"
}

# Debian's iptables as files: both kinds under all their names, their extensions, the libraries that ldd says, and
# whose all that is. The names without a kind are nftables', as in Debian.
iptables_files() {
  files=$out/iptables
  rm -rf "$files"
  mkdir -p "$files/usr/sbin" "$files/usr/share/doc/lateen" "$files/run"
  extensions=$(find /usr/lib /lib -path '*/xtables/libxt_owner.so' 2>/dev/null | head -1)
  extensions=${extensions%/*}
  [ -n "$extensions" ] && [ -x /usr/sbin/xtables-nft-multi ] && [ -x /usr/sbin/xtables-legacy-multi ] ||
    die "IPTABLES=yes takes the programs of Debian's package iptables: install it (1.8)"
  for kind in nft legacy; do
    cp -L "/usr/sbin/xtables-$kind-multi" "$files/usr/sbin/"
    for name in iptables ip6tables; do
      for step in '' -restore -save; do
        ln -s "xtables-$kind-multi" "$files/usr/sbin/$name-$kind$step"
        [ $kind = legacy ] || ln -s "xtables-$kind-multi" "$files/usr/sbin/$name$step"
      done
    done
  done
  find "$extensions" -name 'libxt_*.so' -o -name 'libip6t_*.so' -o -name 'libipt_*.so' | sort |
    xargs cp -L --parents -t "$files"
  { ldd /usr/sbin/xtables-nft-multi /usr/sbin/xtables-legacy-multi "$extensions"/*.so | grep -o '/[^ ]*\.so[^ :]*' |
    grep -v '/xtables/' | sort -u; } >"$out/libraries"
  xargs cp -L --parents -t "$files" <"$out/libraries"
  # A package's list may have a library where it was before /lib was moved to /usr/lib.
  { cat "$out/libraries"; xargs realpath <"$out/libraries"; } | xargs -n1 dpkg-query --search 2>/dev/null |
    sed 's/[,:].*//' | sort -u | xargs dpkg-query --show iptables >"$files/usr/share/doc/lateen/iptables.txt"
  rm "$out/libraries"
  cut -f1 "$files/usr/share/doc/lateen/iptables.txt" | sed 's/:.*//' | while read -r package; do
    cp -L --parents "/usr/share/doc/$package/copyright" "$files"
  done
  chmod -R u=rwX,go=rX "$files"
}

mkdir -p "$out"
[ -n "${BINARY:-}" ] || { build; BINARY=$target/$triple/release/lateen; }
check_static "$BINARY"
# Symbols are a quarter of it.
strip --strip-all -o "$out/lateen.new" "$BINARY"
install -m 0755 "$out/lateen.new" "$out/lateen"
rm "$out/lateen.new"
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
libc=$(ldd --version | sed -n '1s/.* //p')
(cd "$root" && cargo xtask sbom "$triple" "$created" "glibc=$libc") >"$out/sbom.spdx.json"
check_size "$out/lateen" "$out/sbom.spdx.json"
if command -v buildah >/dev/null 2>&1; then
  with=with_buildah
elif command -v docker >/dev/null 2>&1; then
  with=with_docker
else
  die "neither buildah nor docker is installed: install one of them"
fi
base=$image
$with "$base" Containerfile lateen.oci.tar
if [ "${IPTABLES:-}" = yes ]; then
  iptables_files
  case ${base##*/} in *:*) ;; *) base=$base:latest;; esac
  $with "$base-iptables" Containerfile.iptables lateen-iptables.oci.tar --build-arg "BASE=$base"
fi
