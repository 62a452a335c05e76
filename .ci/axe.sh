#!/usr/bin/env bash
# Prints the path of axe.min.js (axe-core, MPL-2.0, used by tests only),
# fetched once by the npm client into the build folder.
set -euo pipefail
version=4.14.1
dir=${SUTI_BUILD_DIR:-"$(cd "$(dirname "$0")/.." && pwd)/out"}/axe-core-$version
if [ ! -s "$dir/axe.min.js" ]; then
  command -v npm >/dev/null 2>&1 || { echo "npm is needed once, for axe-core: apt-get install -y npm" >&2; exit 1; }
  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp"' EXIT
  (cd "$tmp" && npm pack --silent "axe-core@$version" >/dev/null && tar -xzf axe-core-*.tgz)
  mkdir -p "$dir" && cp "$tmp/package/axe.min.js" "$dir/axe.min.js"
fi
echo "$dir/axe.min.js"
