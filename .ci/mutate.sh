#!/usr/bin/env bash
# Makes small faults in the code that decides about signatures and counts how many of them the tests notice
# (docs/design/0023). More arguments are passed on: -again judges only what survived last time, -only REGEXP what matches.
set -euo pipefail
cd "$(dirname "$0")/.."
files=(
  signer/pades/diff*.go signer/pades/{verify,judge,locate,overlap,lock,digest,evidence,embedded,refs}.go
  signer/internal/judge/*.go
  internal/cms/{verify,ess,algorithm,signerinfo}.go
  internal/tsp/{token,tstinfo}.go
)
exec go run ./internal/deps/mutate -out out/mutate -equivalent .ci/mutate-equivalent.txt -need 85 -need-file 75 \
  -test ./internal/cms -test ./internal/tsp -test ./signer/internal/evidence/revocation -test ./signer/pades \
  -skip TestPDFSignAgreesOnEveryKindOfFile -skip TestForeignVerifiers -skip TestChildSaysTheSame -skip TestInteropMatrix -skip TestLargeFilesAreStreamed -skip TestCorpus -skip TestCorpusChild \
  "$@" $(ls "${files[@]}" | grep -vE '/doc\.go$')
