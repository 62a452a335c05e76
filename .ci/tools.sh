#!/usr/bin/env bash
# Installs from the distribution what the tests need and the machine lacks.
# Without root or without a package manager it says exactly what to install.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

declare -A need=(
  [postgresql]="postgres" [redis-server]="redis-server" [chromium]="chromium" [poppler-utils]="pdfsig"
  [mupdf-tools]="mutool" [qpdf]="qpdf" [softhsm2]="softhsm2-util" [openssl]="openssl" [libnss3-tools]="certutil" [fonts-dejavu-core]=""
  [systemd]="systemd-analyze" [strace]="strace" [python3]="python3" [python3-venv]="" [npm]="npm" [nodejs]="node"
  [libxml2-utils]="xmllint"
  [default-jre-headless]="java" [maven]="mvn"
)

have() {
  case $1 in
    postgresql) [ -n "$(find_postgres)" ] ;;
    fonts-dejavu-core) [ -d /usr/share/fonts/truetype/dejavu ] ;;
    python3-venv) python3 -c 'import ensurepip' 2>/dev/null ;; # fetches pyHanko, once
    maven) have_verapdf || command -v mvn >/dev/null 2>&1 ;; # fetches veraPDF, once
    npm) have_axe && have_oauth4webapi || command -v npm >/dev/null 2>&1 ;; # fetches axe-core and oauth4webapi, once
    *) command -v "${need[$1]}" >/dev/null 2>&1 ;;
  esac
}

# have_axe tells whether axe-core was fetched before: see axe.sh.
have_axe() {
  local version
  version=$(sed -n 's/^version=//p' "$here/axe.sh")
  [ -s "${SUTI_BUILD_DIR:-"$here/../out"}/axe-core-$version/axe.min.js" ]
}

# have_oauth4webapi is the same for oauth4webapi.sh.
have_oauth4webapi() {
  local version
  version=$(sed -n 's/^version=//p' "$here/oauth4webapi.sh")
  [ -s "${SUTI_BUILD_DIR:-"$here/../out"}/oauth4webapi-$version/index.js" ]
}

# have_verapdf is the same for verapdf.sh.
have_verapdf() {
  local version
  version=$(sed -n 's/^version=//p' "$here/verapdf.sh")
  [ -s "${SUTI_BUILD_DIR:-"$here/../out"}/verapdf-$version/verapdf.jar" ]
}

# find_postgres prints the folder of the newest installed initdb.
find_postgres() {
  local d
  for d in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV); do
    [ -x "$d/initdb" ] && { echo "$d"; return; }
  done
  command -v initdb >/dev/null 2>&1 && dirname "$(readlink -f "$(command -v initdb)")" || true
}

missing=()
for pkg in "${!need[@]}"; do have "$pkg" || missing+=("$pkg"); done
if [ ${#missing[@]} -gt 0 ]; then
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort)
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "The tests need these Debian packages or their like: ${missing[*]}" >&2
    echo "This machine has no apt-get: install them by hand, then run make test again." >&2
    exit 1
  fi
  if [ "$(id -u)" != 0 ]; then
    echo "The tests need packages that are not installed. Run, then try again:" >&2
    echo "  sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  echo "installing: ${missing[*]}" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2
  # A test starts its own servers; the package's own must not come up.
  printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d.suti && chmod +x /usr/sbin/policy-rc.d.suti
  if [ ! -e /usr/sbin/policy-rc.d ]; then mv /usr/sbin/policy-rc.d.suti /usr/sbin/policy-rc.d; trap 'rm -f /usr/sbin/policy-rc.d' EXIT; else rm -f /usr/sbin/policy-rc.d.suti; fi
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
fi
