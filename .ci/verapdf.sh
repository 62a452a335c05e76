#!/usr/bin/env bash
# Prints the path of veraPDF's program (MPL 2.0 or GPL 3, used by tests only),
# fetched once by Maven into the build folder. Prints nothing, and says why,
# where it cannot be had: the tests that need it then skip by name.
set -uo pipefail
version=1.28.2
sum=687d4d8bcfec48c9f7e931cf78ed061f1eeccfba55d4cdc000ba9b4d8aa46ce6
dir=${SUTI_BUILD_DIR:-"$(cd "$(dirname "$0")/.." && pwd)/out"}/verapdf-$version
jar=$dir/verapdf.jar
if [ ! -s "$jar" ]; then
  mkdir -p "$dir"
  { mvn -B -q dependency:get -Dtransitive=false -Dartifact=org.verapdf.apps:greenfield-apps:$version &&
    mvn -B -q dependency:copy -Dartifact=org.verapdf.apps:greenfield-apps:$version -DoutputDirectory="$dir"; } >"$dir.log" 2>&1
  if [ "$(sha256sum <"$dir/greenfield-apps-$version.jar" 2>/dev/null)" != "$sum  -" ]; then
    echo "veraPDF cannot be had here ($(tail -n 1 "$dir.log")); the tests that ask it are skipped" >&2
    rm -rf "$dir"
    exit 0
  fi
  mv "$dir/greenfield-apps-$version.jar" "$jar"
fi
command -v java >/dev/null || { echo "veraPDF needs Java; the tests that ask it are skipped" >&2; exit 0; }
echo "$jar"
