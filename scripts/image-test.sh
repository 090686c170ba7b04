#!/bin/sh
# Builds the image and checks what is promised of it.
# In:  what image.sh needs with buildah and IPTABLES=yes, and root (the image's program is run in a changed root).
# Out: exit code 0, or the first promise that is not kept.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
archive=$target/image/lateen.oci.tar
work=$(mktemp -d "${TMPDIR:-/tmp}/lateen-image.XXXXXX")
trap 'rm -rf "$work"' EXIT

say() { echo "image-test: $*" >&2; }
die() { say "$*"; exit 1; }
# says TEXT COMMAND...: that the command's output, whatever its exit code, has the text.
says() {
  wanted=$1; shift
  said=$("$@" 2>&1 || true)
  case $said in
    *"$wanted"*) ;;
    *) die "$* said: $said (and not: $wanted)";;
  esac
}

# Compiled twice, the second time of a copy of the sources elsewhere, with nothing that was there before.
unset BINARY IMAGE
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
export IPTABLES=yes
"$root/scripts/image.sh"
mkdir "$work/elsewhere"
(
  cd "$root"
  git ls-files -z --cached --others --exclude-standard |
    xargs -0 sh -c 'for file; do [ ! -e "$file" ] || printf "%s\0" "$file"; done' sh
) | tar -C "$root" --null --files-from=- -c | tar -C "$work/elsewhere" -x
[ ! -d "$root/ui/dist" ] || cp -a "$root/ui/dist" "$work/elsewhere/ui/"
CARGO_TARGET_DIR=$work/target "$work/elsewhere/scripts/image.sh"
for part in lateen sbom.spdx.json lateen.oci.tar lateen-iptables.oci.tar; do
  cmp "$target/image/$part" "$work/target/image/$part" ||
    die "the same sources elsewhere made another $part"
done
rm -rf "$work/target" "$work/elsewhere"

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -1)
# unpack ARCHIVE TAG FOLDER: what the archive says of itself, and its files in FOLDER/root.
unpack() {
  mkdir -p "$3/oci" "$3/root"
  tar -xf "$1" -C "$3/oci"
  python3 - "$3" "$2" <<'END'
import json, pathlib, subprocess, sys
work = pathlib.Path(sys.argv[1])
blob = lambda digest: work / "oci/blobs" / digest.replace(":", "/")
index = json.loads((work / "oci/index.json").read_text())
manifest = json.loads(blob(index["manifests"][0]["digest"]).read_text())
config = json.loads(blob(manifest["config"]["digest"]).read_text())["config"]
name = f"docker.io/lateen-mesh/lateen:{sys.argv[2]}"
assert index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] == name, index
[docker] = json.loads((work / "oci/manifest.json").read_text())
assert docker["RepoTags"] == [name], docker
paths = [blob(part["digest"]) for part in [manifest["config"], *manifest["layers"]]]
assert [work / "oci" / path for path in [docker["Config"], *docker["Layers"]]] == paths, docker
assert config["User"] == "1337:1337", config
assert config["Entrypoint"] == ["/usr/local/bin/lateen"] and not config.get("Cmd"), config
assert config["Env"] == ["PATH=/usr/local/bin"], config
for layer in manifest["layers"]:
    subprocess.run(["tar", "-xf", blob(layer["digest"]), "-C", work / "root"], check=True)
END
}
unpack "$archive" "$version" "$work"
unpack "$target/image/lateen-iptables.oci.tar" "$version-iptables" "$work/with"
files=$(cd "$work/root" && find . -type f | sort | tr '\n' ' ')
[ "$files" = "./usr/local/bin/lateen ./usr/share/doc/lateen/sbom.spdx.json " ] || die "files: $files"
size=$(du -sb "$work/root" | cut -f1)
[ "$size" -le $((40 * 1024 * 1024)) ] || die "the image has $size bytes"
python3 -c 'import json,sys; d=json.load(sys.stdin); assert len(d["packages"]) > 100, d' \
  <"$work/root/usr/share/doc/lateen/sbom.spdx.json"

# Nothing but the two files, no privilege, and what every container runtime puts there.
mkdir "$work/root/etc" "$work/root/dev"
mknod -m 666 "$work/root/dev/urandom" c 1 9
mknod -m 666 "$work/root/dev/random" c 1 8
echo "127.0.0.1 api.example" >"$work/root/etc/hosts"
inside() {
  unshare --net chroot --userspec=1337:1337 "$work/root" /usr/local/bin/lateen "$@"
}
says "$version" inside --version
says "redirect to :15006" inside interception --dry-run -b '*' -i '*'
says "kind: Deployment" inside manifest generate
says "make image IPTABLES=yes" unshare --net chroot "$work/root" /usr/local/bin/lateen interception --iptables -b '*' -i '*'
# The other image has the same two files, and programs that lay the rules, of either kind.
for file in $files; do cmp "$work/root/$file" "$work/with/root/$file"; done
for kind in usual nft legacy; do
  save=iptables-$kind-save
  [ $kind != usual ] || save=iptables-save
  says "-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001" unshare --net sh -c '
    chroot "$0" /usr/local/bin/lateen interception --iptables="$1" -b "*" -i "*" >/dev/null &&
    chroot "$0" "/usr/sbin/$2" -t nat' "$work/with/root" "$kind" "$save"
done
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=authority -days 1 \
  -keyout /dev/null -out "$work/root/etc/ca.pem" 2>/dev/null
cat >"$work/root/etc/kubeconfig" <<'END'
{"apiVersion": "v1", "kind": "Config", "current-context": "c",
 "clusters": [{"name": "c", "cluster": {"server": "https://api.example:6443", "certificate-authority": "/etc/ca.pem"}}],
 "users": [{"name": "u", "user": {}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}
END
chmod -R a+rX "$work/root"
chmod a+rx "$work"
# A name is found by /etc/hosts; nobody answers there.
says "refused" env unshare --net sh -c 'ip link set lo up; exec "$@"' sh \
  chroot --userspec=1337:1337 "$work/root" /usr/local/bin/lateen tag list --kubeconfig /etc/kubeconfig
say "the image keeps its promises: $size bytes"
