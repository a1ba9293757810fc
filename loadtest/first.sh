#!/usr/bin/env bash
# A first comparison: the gateway, with everything on, beside a bare Pingora pass-through, in one run on loopback.
# Needs wrk. Bounded: four windows for each body size, a few seconds each. Prints requests per second, latency, and the
# proxy's own CPU for each request (user and system time from /proc).
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${SECONDS_EACH:-8} connections=${CONNECTIONS:-16}
profile=${PROFILE:-release}
target=${CARGO_TARGET_DIR:-target}/$profile
cargo build --profile "$profile" --locked --bins --examples

work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

provider=127.0.0.1:$(free_port) bare=127.0.0.1:$(free_port)
"$target/examples/provider" "$provider" & pids+=($!)
"$target/examples/passthrough" "$bare" "$provider" & pids+=($!) bare_pid=$!

cat > "$work/tollgate.toml" <<TOML
[listen]
data = "127.0.0.1:0"
admin = "127.0.0.1:0"
[state]
dir = "state"
[provider.anthropic]
dialect = "anthropic"
addresses = ["http://$provider"]
credential = "env:LOADTEST_KEY"
[prices]
file = "$PWD/conf/prices.toml"
[scan]
rules = ["$PWD/conf/rules/*.toml"]
TOML
cat > "$work/directory.toml" <<TOML
organisation = "acme"
[[team]]
name = "load"
[[team.budget]]
window = "month"
limit = "1000000.00"
TOML
export TOLLGATE_CONFIG=$work/tollgate.toml LOADTEST_KEY=the-key-of-the-load-test
"$target/tollgate" apply "$work/directory.toml" > /dev/null
key=$("$target/tollgate" key create --team load --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["key"])')
"$target/tollgate" serve > "$work/listening" 2> "$work/log" & pids+=($!) gateway_pid=$!
while [ ! -s "$work/listening" ]; do sleep 0.1; done
gateway=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["data"])' "$work/listening")

script() { # SIZE: a request of about that many bytes of source code
    python3 - "$1" "$key" "$PWD/src/gateway" > "$work/$1.lua" <<'PY'
import glob, json, sys
size, key, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
text = ""
while len(text) < size:
    text += "".join(open(name).read() for name in sorted(glob.glob(folder + "/*.rs")))
body = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [{"role": "user", "content": text[: size - 150]}]}
print("wrk.method = 'POST'")
print("wrk.headers['content-type'] = 'application/json'")
print(f"wrk.headers['x-api-key'] = '{key}'")
print("wrk.body = [==[" + json.dumps(body) + "]==]")
PY
}
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
window() { # NAME PID ADDRESS SIZE
    local before after out
    before=$(ticks "$2")
    out=$(wrk -t1 -c"$connections" -d"${seconds}s" --latency -s "$work/$4.lua" "http://$3/v1/messages")
    after=$(ticks "$2")
    if grep -q 'Non-2xx\|Socket errors' <<< "$out"; then echo "void: $1 $4"; echo "$out"; return; fi
    python3 - "$1" "$4" $((after - before)) <<PY
import os, re, sys
out = """$out"""
requests = int(re.search(r"(\d+) requests in", out).group(1))
rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))
p50, p99 = (re.search(rf"{p}%\s+(\S+)", out).group(1) for p in (50, 99))
cpu = int(sys.argv[3]) / os.sysconf("SC_CLK_TCK") / requests * 1e6
print(f"| {sys.argv[1]} | {sys.argv[2]} | {rate:.0f} | {p50} | {p99} | {cpu:.0f} |")
PY
}
echo "| proxy | body | requests/s | p50 | p99 | CPU µs/request |"
echo "|---|---|---|---|---|---|"
for size in 2048 204800; do
    script "$size"
    for _ in 1 2; do
        window passthrough "$bare_pid" "$bare" "$size"
        window tollgate "$gateway_pid" "$gateway" "$size"
    done
done
