#!/usr/bin/env bash
# Prints the path of oauth4webapi's index.js (MIT, used by tests only, run by
# node), fetched once by the npm client into the build folder.
set -euo pipefail
version=3.8.8
dir=${SUTI_BUILD_DIR:-"$(cd "$(dirname "$0")/.." && pwd)/out"}/oauth4webapi-$version
if [ ! -s "$dir/index.js" ]; then
  command -v npm >/dev/null 2>&1 || { echo "npm is needed once, for oauth4webapi: apt-get install -y npm" >&2; exit 1; }
  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp"' EXIT
  (cd "$tmp" && npm pack --silent "oauth4webapi@$version" >/dev/null && tar -xzf oauth4webapi-*.tgz)
  mkdir -p "$dir" && cp "$tmp/package/package.json" "$tmp/package/build/index.js" "$dir/"
fi
echo "$dir/index.js"
