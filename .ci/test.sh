#!/usr/bin/env bash
# Runs every test of both modules against real servers and prints the counts.
set -uo pipefail
cd "$(dirname "$0")/.."
SUTI_TEST_AXE=$(.ci/axe.sh) || exit 1
SUTI_TEST_OAUTH4WEBAPI=$(.ci/oauth4webapi.sh) || exit 1
SUTI_TEST_PYHANKO=$(.ci/pyhanko.sh)
SUTI_TEST_ETSI_XSD=$(.ci/etsi-xsd.sh)
SUTI_TEST_VERAPDF=$(.ci/verapdf.sh)
export SUTI_TEST_ETSI_XSD SUTI_TEST_AXE SUTI_TEST_OAUTH4WEBAPI SUTI_TEST_PYHANKO SUTI_TEST_VERAPDF SUTI_TEST_REQUIRE=1
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
for mod in . sdk; do
  (cd "$mod" && go test -timeout 25m -json "$@" ./...) >>"$log" || status=1
done
go run .ci/testsum/main.go <"$log" || status=1
exit $status
