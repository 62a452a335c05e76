#!/usr/bin/env bash
# Runs a command with a throw-away PostgreSQL and Redis on free loopback ports,
# named to it by SUTI_TEST_POSTGRES and SUTI_TEST_REDIS, and stops both after.
#   .ci/servers.sh go test ./...
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

# Servers that are already named are used as they are.
if [ -n "${SUTI_TEST_POSTGRES:-}" ] && [ -n "${SUTI_TEST_REDIS:-}" ]; then exec "$@"; fi

work=$(mktemp -d "${TMPDIR:-/tmp}/suti-servers.XXXXXX")
chmod 755 "$work"
pgbin=""
for d in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV); do [ -x "$d/initdb" ] && { pgbin=$d; break; }; done
[ -n "$pgbin" ] || pgbin=$(dirname "$(readlink -f "$(command -v initdb)")")

# PostgreSQL refuses to run as root: the server then runs as the user that its package made.
as=()
if [ "$(id -u)" = 0 ]; then
  user=postgres
  id "$user" >/dev/null 2>&1 || { echo "no user 'postgres' to run the test server as" >&2; exit 1; }
  as=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups)
  mkdir "$work/pg" && chown "$user" "$work/pg"
else
  mkdir "$work/pg"
fi

free_port() { # a port the kernel gave out a moment ago
  python3 - <<'PY' 2>/dev/null || perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen=>1,LocalAddr=>"127.0.0.1")->sockport'
import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])
PY
}

redis_pid=""
stop() {
  status=$?
  trap - EXIT INT TERM
  [ -n "$redis_pid" ] && kill "$redis_pid" 2>/dev/null || true
  (cd "$work/pg" && "${as[@]}" "$pgbin/pg_ctl" -D "$work/pg/data" -m immediate stop >/dev/null 2>&1) || true
  rm -rf "$work"
  exit $status
}
trap stop EXIT INT TERM

(cd "$work/pg" && "${as[@]}" "$pgbin/initdb" -D "$work/pg/data" -U suti --auth=trust --encoding=UTF8 --locale=C --no-sync >"$work/initdb.log" 2>&1) || { cat "$work/initdb.log" >&2; exit 1; }
started=""
for _ in 1 2 3; do # another process may take the port first
  port=$(free_port)
  if (cd "$work/pg" && "${as[@]}" "$pgbin/pg_ctl" -D "$work/pg/data" -w -t 60 -l "$work/pg/log" \
      -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$work/pg -c max_connections=400 -c fsync=off -c full_page_writes=off" start >/dev/null 2>&1); then
    started=1; break
  fi
done
[ -n "$started" ] || { cat "$work/pg/log" >&2; exit 1; }
export SUTI_TEST_POSTGRES="postgres://suti@127.0.0.1:$port/postgres?sslmode=disable"

rport=$(free_port)
redis-server --port "$rport" --bind 127.0.0.1 --save '' --appendonly no --dir "$work" >"$work/redis.log" 2>&1 &
redis_pid=$!
for _ in $(seq 100); do redis-cli -p "$rport" ping >/dev/null 2>&1 && break; sleep 0.1; done
redis-cli -p "$rport" ping >/dev/null || { cat "$work/redis.log" >&2; exit 1; }
export SUTI_TEST_REDIS="redis://127.0.0.1:$rport/0"
unset here
"$@"
