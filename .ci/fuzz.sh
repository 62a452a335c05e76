#!/usr/bin/env bash
# Runs every fuzz target of both modules for the time given (default 30s each).
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s}
for mod in . sdk; do
  (cd "$mod" && go list -f '{{$d := .Dir}}{{range .TestGoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}' ./... | sed '/^$/d' | xargs -r grep -HoE '^func Fuzz[A-Za-z0-9_]+' | sort -u |
  while IFS=: read -r file fn; do
    name=${fn#func }
    echo "== $(realpath --relative-to=. "$(dirname "$file")") $name"
    go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$(dirname "$file")" </dev/null
  done)
done
