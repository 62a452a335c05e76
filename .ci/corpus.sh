#!/usr/bin/env bash
# Signs every PDF file below the folder CORPUS in a child process of its own, has qpdf, pdfsig, mutool and pdfinfo compare
# each with its signed form, and prints counts by outcome and reason. Fails for any damage, crash or hang.
# Good folders are checkouts of public projects with PDF files for tests: mozilla/pdf.js (test/pdfs),
# MatthiasValvekens/pyHanko, pdfcpu/pdfcpu, apache/pdfbox. Their files are never committed here.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ ! -d "${CORPUS:-}" ]; then
  echo "corpus: say CORPUS=DIR, a folder with PDF files (see .ci/corpus.sh)" >&2
  exit 2
fi
for tool in qpdf pdfsig mutool pdfinfo; do
  command -v "$tool" >/dev/null || { echo "corpus: $tool is not installed" >&2; exit 2; }
done
out=${CORPUS_OUT:-$PWD/out/corpus}
mkdir -p "$out"
SUTI_CORPUS=$(realpath "$CORPUS") SUTI_CORPUS_OUT=$(realpath "$out") \
  "${GO:-go}" test -count=1 -timeout "${CORPUS_TIME:-90m}" -run '^TestCorpus(FreeSpace)?$' -v ./signer/pades
echo "one line a file: $out/corpus.jsonl"
