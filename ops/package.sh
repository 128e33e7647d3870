#!/usr/bin/env bash
# Makes what enterprise IT installs: a static binary with everything beside it as an archive, a Debian package, a container file's context, a source archive
# that builds without a network, a bill of materials, and checksums. Everything goes to target/package/.
#
#   ops/package.sh                     builds the binary (static, musl; a quarter of an hour on two cores) and packs everything
#   ops/package.sh --binary FILE       packs a binary that is already built
#   ops/package.sh --out DIR           another folder than target/package
#   ops/package.sh --check             then tries everything out: the archive, the package, the unit, a build of the source without a network
#   ops/package.sh --check-source      with --check: the source is built whole (as long as a build), not only resolved
set -euo pipefail
umask 022
cd "$(dirname "$0")/.."
target="${KITH_TARGET:-x86_64-unknown-linux-musl}"
binary="" out="target/package" check=no whole=no
while [ $# -gt 0 ]; do
  case "$1" in
    --binary) binary="$2"; shift 2 ;;
    --out) out="$2"; shift 2 ;;
    --check) check=yes; shift ;;
    --check-source) check=yes; whole=yes; shift ;;
    *) sed -n '2,9p' "$0" >&2; exit 2 ;;
  esac
done
say() { printf '\n== %s (%ss)\n' "$*" "$SECONDS"; }
need() { command -v "$1" >/dev/null 2>&1 || { echo "package.sh needs $1: $2" >&2; exit 2; }; }
need python3 "Debian python3"
need dpkg-deb "Debian dpkg"
version="$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)"
# The same input gives the same bytes: every file is of the last commit's time.
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}"
pack() { tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C "$1" -cf - "$2" | gzip -n9 > "$3"; }

if [ -z "$binary" ]; then
  say "binary for $target"
  case "$target" in *-musl) need musl-gcc "Debian musl-tools, and rustup target add $target" ;; esac
  cargo build --release --locked --features ntlm --target "$target"
  binary="${CARGO_TARGET_DIR:-target}/$target/release/kith"
fi
[ -x "$binary" ] || { echo "there is no binary $binary" >&2; exit 2; }
machine="$(uname -m)"
case "$machine" in x86_64) debian=amd64 ;; aarch64) debian=arm64 ;; *) debian="$machine" ;; esac
rm -rf "$out"
mkdir -p "$out"
out="$(cd "$out" && pwd)"
work="$out/.work"
mkdir -p "$work"

say "bill of materials"
python3 ops/sbom.py "$version" "$SOURCE_DATE_EPOCH" > "$out/kith-$version.cdx.json"
python3 ops/sbom.py --licences > "$work/THIRD-PARTY.md"

say "archive"
name="kith-$version-$machine-linux"
root="$work/$name"
mkdir -p "$root/bin"
install -m 755 "$binary" "$root/bin/kith"
strip "$root/bin/kith" 2>/dev/null || true
for folder in config connectors mappings ops; do cp -R "$folder" "$root/$folder"; done
rm -f "$root/ops/package.sh" "$root/ops/sbom.py"
cp README.md LICENSE CHANGELOG.md "$work/THIRD-PARTY.md" "$out/kith-$version.cdx.json" "$root/"
chmod -R u=rwX,go=rX "$root"
pack "$work" "$name" "$out/$name.tar.gz"

say "Debian package"
deb="$work/deb"
mkdir -p "$deb/DEBIAN" "$deb/usr/bin" "$deb/usr/lib/systemd/system" "$deb/usr/share/doc/kith" "$deb/usr/share/kith"
install -m 755 "$root/bin/kith" "$deb/usr/bin/kith"
for unit in ops/systemd/kith.service ops/systemd/kith-backup.service ops/systemd/kith-backup.timer ops/systemd/kith-webhooks.service; do
  sed 's|/usr/local/bin/kith|/usr/bin/kith|; s|file:///etc/kith[a-z-]*/ops/|file:///usr/share/doc/kith/|' "$unit" > "$deb/usr/lib/systemd/system/$(basename "$unit")"
done
cp ops/runbook.md ops/backup.md ops/rights.md ops/webhooks.md README.md CHANGELOG.md "$work/THIRD-PARTY.md" "$deb/usr/share/doc/kith/"
cp LICENSE "$deb/usr/share/doc/kith/copyright"
for folder in config connectors mappings; do cp -R "$folder" "$deb/usr/share/kith/$folder"; done
cp -R ops/prometheus ops/sql ops/audit "$deb/usr/share/kith/"
for script in postinst prerm postrm; do install -m 755 "ops/debian/$script" "$deb/DEBIAN/$script"; done
size="$(du -sk "$deb/usr" | cut -f1)"
cat > "$deb/DEBIAN/control" <<END
Package: kith
Version: $version
Section: net
Priority: optional
Architecture: $debian
Installed-Size: $size
Depends: adduser
Recommends: systemd
Maintainer: Kith <kith@localhost>
Description: social conversations into known-customer records
 Reads social activities, decides with evidence which customer of the CRM
 their author is, and writes enriched interactions into the CRM under limits,
 with a log that proves itself.
END
chmod -R u=rwX,go=rX "$deb/usr"
find "$deb" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --build "$deb" "$out/kith_${version}_$debian.deb" >/dev/null

say "container context"
mkdir -p "$work/container"
cp ops/container/Containerfile "$work/container/"
install -m 755 "$root/bin/kith" "$work/container/kith"
pack "$work" container "$out/kith-$version-container.tar.gz"

say "source with everything it is built from"
source="$work/kith-$version-source"
mkdir -p "$source"
if git rev-parse --git-dir >/dev/null 2>&1; then git archive HEAD | tar -x -C "$source"; else cp -R Cargo.toml Cargo.lock src config connectors mappings ops tests README.md LICENSE CHANGELOG.md ./*.toml "$source/"; fi
mkdir -p "$source/.cargo"
(cd "$source" && cargo vendor --locked --versioned-dirs vendor > .cargo/config.toml 2>"$work/vendor.log") || { cat "$work/vendor.log" >&2; exit 1; }
pack "$work" "kith-$version-source" "$out/kith-$version-source.tar.gz"

say "checksums"
(cd "$out" && sha256sum -- *.tar.gz *.deb *.json > SHA256SUMS && cat SHA256SUMS)

if [ $check = yes ]; then
  say "the archive runs"
  try="$work/try"
  mkdir -p "$try"
  tar -xzf "$out/$name.tar.gz" -C "$try"
  "$try/$name/bin/kith" --version
  (cd "$try" && "$name/bin/kith" init project >/dev/null && cd project && "../$name/bin/kith" check && "../$name/bin/kith" run --once >/dev/null)
  file_says="$(file -b "$try/$name/bin/kith" 2>/dev/null || true)"
  echo "$file_says"
  case "$file_says" in *"static"*) ;; *) echo "WARNING: this binary is not static: it needs the C library of a system like this one" ;; esac
  say "the package installs into a folder and its unit is sound"
  # Not into a pipe: grep ends at the first find, and tar would fail on what it still has to say.
  dpkg-deb --contents "$out/kith_${version}_$debian.deb" > "$try/contents"
  grep -q './usr/bin/kith$' "$try/contents"
  mkdir -p "$try/deb"
  dpkg-deb --extract "$out/kith_${version}_$debian.deb" "$try/deb"
  "$try/deb/usr/bin/kith" --version
  if command -v systemd-analyze >/dev/null 2>&1; then
    # Whole: 10 is open to everything, and 2.0 the limit of this project.
    systemd-analyze security --offline=true --threshold=20 --no-pager "$try/deb/usr/lib/systemd/system/kith.service" | tail -1
  else echo "SKIPPED: systemd-analyze is not here"; fi
  say "the source resolves and builds without a network"
  mkdir -p "$try/source"
  tar -xzf "$out/kith-$version-source.tar.gz" -C "$try/source"
  # A namespace without any interface but a loopback that is down, and a cargo home with nothing in it.
  offline() { unshare -rn env CARGO_HOME="$try/cargo" CARGO_NET_OFFLINE=true RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}" "$@"; }
  if unshare -rn true 2>/dev/null; then
    if unshare -rn sh -c 'command -v curl >/dev/null && curl -s --max-time 3 http://127.0.0.1' ; then echo "the namespace has a network" >&2; exit 1; fi
    tools="$(rustup which cargo 2>/dev/null || command -v cargo)"
    # The compiler by its own path too: some crates carry a rust-toolchain file, which rustup would follow inside vendor/.
    RUSTC="$(rustup which rustc 2>/dev/null || command -v rustc)"
    export RUSTC
    (cd "$try/source/kith-$version-source" && if [ $whole = yes ]; then offline "$tools" build --release --locked --offline; else offline "$tools" metadata --locked --offline --format-version 1 >/dev/null; fi)
    echo "no network was needed"
  else echo "SKIPPED: this system gives no namespaces to this user"; fi
fi
rm -rf "$work"
say "all of it is in $out"
