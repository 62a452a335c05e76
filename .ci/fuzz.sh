#!/usr/bin/env bash
# Without FUZZEXECS: runs every fuzz target of both modules for the time given (default 30s each).
# With FUZZEXECS=N: runs the targets of everything that a stranger's document brings along to N executions each,
# FUZZPARALLEL at a time (default: one per processor), and prints how many were made. FUZZONLY is a regular expression over
# their names.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s}
if [ -n "${FUZZEXECS:-}" ]; then
  log=$(mktemp -d)
  trap 'rm -rf "$log"' EXIT
  failed=0
  while read -r what dir name; do
    [[ "$name" =~ ${FUZZONLY:-.} ]] || continue
    echo "== $what: $dir $name"
    done=0 ok=ok
    while [ $done -lt "$FUZZEXECS" ]; do
      go test -run '^$' -fuzz "^$name\$" -fuzztime "$((FUZZEXECS - done))x" -fuzzminimizetime 50x -parallel "${FUZZPARALLEL:-$(nproc)}" \
        "./$dir" </dev/null 2>&1 | tee "$log/out" | grep --line-buffered -vE '^fuzz: elapsed: .*[1-9]s,' || true
      execs=$(grep -oE 'execs: [0-9]+' "$log/out" | tail -1 | cut -d' ' -f2)
      done=$((done + ${execs:-0}))
      grep -q '^ok ' "$log/out" && break
      # A machine that is too busy looks like an input that never ends. Such an input passes when it is run alone.
      seed=$(grep -oE 'testdata/fuzz/[^ ]+$' "$log/out" | head -1)
      if grep -q 'hung or terminated' "$log/out" && [ -n "$seed" ] && go test -timeout 60s -run "^$name\$/^${seed##*/}\$" "./$dir" >/dev/null; then
        echo "the machine was busy: $seed passes alone, going on after $done"
        rm "$dir/$seed"
        continue
      fi
      ok=FAIL failed=1
      break
    done
    printf '%-8s %-24s %12s executions %s\n' "$what" "$name" "$done" "$ok" | tee -a "$log/table"
  done <<'TARGETS'
parser signer/internal/cos FuzzParse
xref signer/internal/cos FuzzXrefTable
filters signer/internal/cos FuzzFlate
CMS internal/cms FuzzParseCMS
TSP internal/tsp FuzzParseTSPResponse
OCSP signer/internal/evidence/revocation FuzzCheckOCSP
CRL signer/internal/evidence/revocation FuzzOpenCRL
xref signer/internal/cos FuzzXrefStream
filters signer/internal/cos FuzzPredictor
TARGETS
  echo; cat "$log/table"
  exit $failed
fi
for mod in . sdk; do
  (cd "$mod" && go list -f '{{$d := .Dir}}{{range .TestGoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}' ./... | sed '/^$/d' | xargs -r grep -HoE '^func Fuzz[A-Za-z0-9_]+' | sort -u |
  while IFS=: read -r file fn; do
    name=${fn#func }
    echo "== $(realpath --relative-to=. "$(dirname "$file")") $name"
    go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$(dirname "$file")" </dev/null
  done)
done
