#!/usr/bin/env bash
# gofmt, vet, staticcheck, tidy modules: everything that is judged without running the product.
set -euo pipefail
cd "$(dirname "$0")/.."
fail=0
files=$(git ls-files '*.go' | xargs -r gofmt -l)
[ -z "$files" ] || { echo "gofmt differs:"; echo "$files"; fail=1; }
for mod in . sdk; do
  (cd "$mod" && go vet ./...) || fail=1
  (cd "$mod" && go mod tidy -diff) || { echo "go.mod of $mod is not tidy"; fail=1; }
done
go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./... || fail=1
(cd sdk && go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...) || fail=1
exit $fail
