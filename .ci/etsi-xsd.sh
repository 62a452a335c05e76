#!/usr/bin/env bash
# Prints the folder of the XML schemas of ETSI TS 119 102-2 and of what they
# import, as the Maven artifacts of EU DSS have them (used by tests only), fetched
# once by Maven into the build folder, with a catalogue for xmllint. Prints
# nothing, and says why, where they cannot be had: the test then skips by name.
set -uo pipefail
version=6.4
dir=${SUTI_BUILD_DIR:-"$(cd "$(dirname "$0")/.." && pwd)/out"}/etsi-xsd-$version
if [ ! -s "$dir/catalog.xml" ]; then
  rm -rf "$dir" && mkdir -p "$dir"
  fetch() {
    local a jar
    command -v mvn >/dev/null 2>&1 || { echo "mvn is not installed"; return 1; }
    for a in validation-report xades xmldsig trusted-list; do
      timeout 180 mvn -q -B dependency:get -Dtransitive=false -Dartifact="eu.europa.ec.joinup.sd-dss:specs-$a:$version" </dev/null || return 1
      jar="$HOME/.m2/repository/eu/europa/ec/joinup/sd-dss/specs-$a/$version/specs-$a-$version.jar"
      python3 -m zipfile -e "$jar" "$dir/$a" || return 1
    done
  }
  fetch >"$dir.log" 2>&1 || {
    echo "the schemas of TS 119 102-2 cannot be had here ($(grep -v '^\s*$' "$dir.log" | tail -n 1)); the test that needs them is skipped" >&2
    rm -rf "$dir"
    exit 0
  }
  cat >"$dir/catalog.xml" <<XML
<catalog xmlns="urn:oasis:names:tc:entity:xmlns:xml:catalog">
  <system systemId="http://www.w3.org/TR/2002/REC-xmldsig-core-20020212/xmldsig-core-schema.xsd" uri="xmldsig/xsd/xmldsig-core-schema.xsd"/>
  <system systemId="http://www.w3.org/TR/2008/REC-xmldsig-core-20080610/xmldsig-core-schema.xsd" uri="xmldsig/xsd/xmldsig-core-schema.xsd"/>
  <system systemId="http://uri.etsi.org/01903/v1.3.2/XAdES.xsd" uri="xades/xsd/XAdES.xsd"/>
  <system systemId="http://uri.etsi.org/19612/v2.2.1/ts_119612v020201_201601xsd.xsd" uri="trusted-list/xsd/ts_119612v020401_xsd.xsd"/>
  <system systemId="http://www.w3.org/2001/xml.xsd" uri="xmldsig/xsd/xml.xsd"/>
</catalog>
XML
fi
echo "$dir"
