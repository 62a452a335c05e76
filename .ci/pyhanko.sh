#!/usr/bin/env bash
# Prints the path of pyHanko's executable (MIT, used by tests only), fetched once
# by Python's installer into the build folder. Prints nothing, and says why, where
# it cannot be had: the tests that need it then skip by name.
set -uo pipefail
version=0.38.0
dir=${SUTI_BUILD_DIR:-"$(cd "$(dirname "$0")/.." && pwd)/out"}/pyhanko-$version
if [ ! -s "$dir/ready" ]; then
  rm -rf "$dir"
  { python3 -m venv "$dir" && "$dir/bin/pip" install --quiet --disable-pip-version-check "pyhanko==$version" pyhanko-cli; } >/dev/null 2>"$dir.log" || {
    echo "pyHanko cannot be had here ($(tail -n 1 "$dir.log")); the tests that compare with it are skipped" >&2
    rm -rf "$dir"
    exit 0
  }
  echo "$version" >"$dir/ready"
fi
echo "$dir/bin/pyhanko"
