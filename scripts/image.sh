#!/bin/sh
# Builds the container image: one static binary and its bill of materials, from scratch.
# In:  Rust, a C compiler with the static libc, and buildah or docker; IMAGE (default lateen-mesh/lateen:dev);
#      BINARY, a static binary that is there already.
# Out: the image in the tool's store, and in target/image: lateen, sbom.spdx.json, and with buildah
#      lateen.oci.tar, which is the same for the same sources, compiler and C library wherever it is built.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
image=${IMAGE:-lateen-mesh/lateen:dev}
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
# one of each is enough (LLVM's linker can tell, Rust's on x86-64).
build() {
  remap="--remap-path-prefix=$root=/src --remap-path-prefix=$cargo_home/registry/src=/cargo"
  variable=CFLAGS_$(echo "$triple" | tr - _)
  case $triple in x86_64-*) fold="-C link-arg=-Wl,--icf=all";; *) fold=;; esac
  say "building for $triple"
  env CARGO_INCREMENTAL=0 \
    RUSTFLAGS="-C target-feature=+crt-static $remap --remap-path-prefix=$target=/target" \
    "$variable=-ffile-prefix-map=$root=/src -ffile-prefix-map=$cargo_home/registry/src=/cargo -ffile-prefix-map=$target=/target" \
    cargo rustc --release --locked --target "$triple" -p lateen-cli --bin lateen -- \
    -C link-arg=-Wl,-z,pack-relative-relocs $fold
}

# What the kernel needs nothing else for.
check_static() {
  headers=$(readelf --program-headers --dynamic --wide "$1")
  case $headers in
    *INTERP*|*NEEDED*) die "$1 is not static: check that libc.a is installed (libc6-dev)";;
  esac
}

check_size() {
  size=$(stat -c %s "$1")
  [ "$size" -le "$limit" ] || die "$1 has $size bytes, and the image may have $limit"
  say "$(basename "$1"): $size bytes of at most $limit"
}

with_buildah() {
  buildah build --quiet --timestamp "$SOURCE_DATE_EPOCH" --tag "$image" \
    --file "$root/deploy/image/Containerfile" "$out" >/dev/null
  rm -rf "$out/oci"
  buildah push --quiet "$image" "oci:$out/oci"
  # The archive's own order and times are nobody's but ours.
  tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
    -cf "$out/lateen.oci.tar" -C "$out/oci" .
  rm -rf "$out/oci"
  check_size "$out/lateen.oci.tar"
}

with_docker() {
  docker build --quiet --tag "$image" --file "$root/deploy/image/Containerfile" "$out" >/dev/null
}

mkdir -p "$out"
[ -n "${BINARY:-}" ] || { build; BINARY=$target/$triple/release/lateen; }
check_static "$BINARY"
# Symbols are a quarter of it.
strip --strip-all -o "$out/lateen.new" "$BINARY"
install -m 0755 "$out/lateen.new" "$out/lateen"
rm "$out/lateen.new"
check_size "$out/lateen"
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
libc=$(ldd --version | sed -n '1s/.* //p')
(cd "$root" && cargo xtask sbom "$triple" "$created" "glibc=$libc") >"$out/sbom.spdx.json"
if command -v buildah >/dev/null 2>&1; then
  with_buildah
elif command -v docker >/dev/null 2>&1; then
  with_docker
else
  die "neither buildah nor docker is installed: install one of them"
fi
say "built $image"
