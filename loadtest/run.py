#!/usr/bin/env python3
"""The load test: Tollgate beside what an organisation could have put there instead, in one run, on loopback.

Builds, starts a scripted provider, nginx, HAProxy, a bare Pingora pass-through and Tollgate, and measures them in turns,
several rounds over, so that a machine that slows down slows all of them. A window with a failed request is void. Writes
a table (Markdown), every window (JSON) and a plot (SVG) to --out. Needs wrk, nginx and haproxy (`make loadtest` installs
them). Ends only what it started.
"""

import argparse
import base64
import contextlib
import datetime
import glob
import json
import os
import platform
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from plot import plot

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
EVENTS = 64
# What loadtest/setup builds.
TOOLS = os.path.join(ROOT, "target", "loadtest-tools", "bin")
KB = 1024


def main():
    args = arguments()
    target = build(args)
    with contextlib.ExitStack() as stack:
        work = stack.enter_context(tempfile.TemporaryDirectory(prefix="tollgate-load-"))
        bench = Bench(args, work, target, stack)
        bench.start()
        report = {"machine": machine(), "seconds": args.seconds, "rounds": args.rounds, "windows": bench.measure()}
        report["open"] = bench.open_loops()
        report["syscalls"] = bench.syscalls()
        report["streams"] = bench.streams()
        report["refusals"] = bench.refusals()
        report["memory"] = bench.memory()
    report["table"] = summarise(report["windows"])
    save(args.out, report)
    print(markdown(report))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--profile", default="release", help="cargo profile (release; fast is quicker to build)")
    parser.add_argument("--seconds", type=int, default=5, help="length of a window")
    parser.add_argument("--rounds", type=int, default=3, help="windows of each kind, interleaved")
    parser.add_argument("--connections", type=ints, default=[1, 16, 64, 512])
    parser.add_argument("--sizes", type=ints, default=[2 * KB, 32 * KB, 300 * KB, 2048 * KB], help="bytes of a body")
    parser.add_argument("--open-rate", type=int, default=1000, help="requests a second of the open loop")
    parser.add_argument("--only", default="", help="names of proxies, comma-separated")
    parser.add_argument("--kinds", default="json,sse,next,redact", help="kinds of traffic")
    parser.add_argument("--out", default=os.path.join(ROOT, "target", "loadtest"))
    return parser.parse_args()


def ints(text):
    return [int(part) for part in text.split(",")]


def build(args):
    cargo = ["cargo", "build", "--locked", "--profile", args.profile, "--bins", "--examples"]
    subprocess.run(cargo, cwd=ROOT, check=True)
    return os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), args.profile)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Proxy:
    """Something between wrk and the provider: an address, and the processes whose CPU is counted."""

    def __init__(self, name, port, process=None):
        self.name, self.port, self.process = name, port, process

    def pids(self):
        """The process and its children: nginx and HAProxy work in workers."""
        if self.process is None:
            return []
        found, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            for children in glob.glob(f"/proc/{pid}/task/*/children"):
                with contextlib.suppress(OSError), open(children, encoding="ascii") as file:
                    queue += [int(child) for child in file.read().split()]
        return found

    def stat(self):
        """Seconds of CPU and page faults, user and system, of all its processes."""
        seconds = faults = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            faults += int(fields[7]) + int(fields[9])
            seconds += (int(fields[11]) + int(fields[12])) / TICK
        return seconds, faults

    def memory(self):
        """Resident bytes."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/statm", encoding="ascii") as file:
                total += int(file.read().split()[1]) * PAGE
        return total


class Bench:
    def __init__(self, args, work, target, stack):
        self.args, self.work, self.target, self.stack = args, work, target, stack
        self.provider = free_port()
        self.proxies = []
        self.key = ""

    def spawn(self, command, **more):
        process = subprocess.Popen(command, **more)
        self.stack.callback(stop, process)
        return process

    def path(self, name, text=None):
        path = os.path.join(self.work, name)
        if text is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return path

    def start(self):
        self.spawn([f"{self.target}/examples/provider", f"127.0.0.1:{self.provider}"])
        wait(self.provider)
        starts = [self.direct, self.nginx, self.haproxy, self.passthrough, self.tollgate, self.tollgate_unscanned]
        wanted = [name for name in self.args.only.split(",") if name]
        for start in starts:
            name = start.__name__.replace("_", "-")
            if not wanted or name in wanted:
                proxy = start(name)
                wait(proxy.port)
                self.proxies.append(proxy)

    def direct(self, name):
        return Proxy(name, self.provider)

    def nginx(self, name):
        port = free_port()
        conf = self.path("nginx.conf", NGINX.format(port=port, provider=self.provider, work=self.work, cores=cores()))
        return Proxy(name, port, self.spawn(["nginx", "-c", conf, "-e", "stderr"]))

    def haproxy(self, name):
        port = free_port()
        conf = self.path("haproxy.cfg", HAPROXY.format(port=port, provider=self.provider, cores=cores()))
        return Proxy(name, port, self.spawn(["haproxy", "-q", "-db", "-f", conf]))

    def passthrough(self, name):
        port = free_port()
        command = [f"{self.target}/examples/passthrough", f"127.0.0.1:{port}", f"127.0.0.1:{self.provider}"]
        return Proxy(name, port, self.spawn(command))

    def tollgate(self, name):
        return self.gateway(name, os.path.join(ROOT, "conf", "rules", "*.toml"))

    def tollgate_unscanned(self, name):
        return self.gateway(name, self.path("no-rules.toml", NO_RULES))

    def gateway(self, name, rules):
        folder = os.path.join(self.work, name)
        os.mkdir(folder)
        conf = self.path(f"{name}/tollgate.toml", TOLLGATE.format(provider=self.provider, root=ROOT, rules=rules))
        env = dict(os.environ, TOLLGATE_CONFIG=conf, LOADTEST_KEY="the-key-of-the-load-test", RUST_LOG="warn")
        tollgate = f"{self.target}/tollgate"
        subprocess.run([tollgate, "apply", self.path(f"{name}/directory.toml", DIRECTORY)], env=env, check=True,
                       stdout=subprocess.DEVNULL)
        keys = {}
        for team in ["load", "redacted"]:
            made = subprocess.run([tollgate, "key", "create", "--team", team, "--json"], env=env, check=True,
                                  capture_output=True, text=True)
            keys[team] = json.loads(made.stdout)["key"]
        log = open(self.path(f"{name}.log"), "w", encoding="utf-8")
        process = self.spawn([tollgate, "serve"], env=env, stdout=subprocess.PIPE, stderr=log, text=True)
        listening = json.loads(process.stdout.readline())
        proxy = Proxy(name, int(listening["data"].rsplit(":", 1)[1]), process)
        proxy.keys = keys
        return proxy

    # Windows

    def measure(self):
        windows = []
        for kind in self.args.kinds.split(","):
            for size in self.sizes_of(kind):
                for connections in self.connections_of(size):
                    for round_ in range(self.args.rounds):
                        for proxy in self.proxies:
                            window = self.window(proxy, kind, size, connections)
                            window["round"] = round_
                            windows.append(window)
                            print(line(window), file=sys.stderr)
        return windows

    def sizes_of(self, kind):
        if kind == "json":
            return self.args.sizes
        wanted = {"sse": 2 * KB, "next": 300 * KB, "redact": 32 * KB}[kind]
        return [wanted]

    def connections_of(self, size):
        """Large bodies from many connections measure the memory bus and the machine's two cores, nothing of a proxy."""
        return [count for count in self.args.connections if size * count <= 64 * 300 * KB]

    def window(self, proxy, kind, size, connections):
        team = "redacted" if kind == "redact" else "load"
        key = getattr(proxy, "keys", {}).get(team, "no-key")
        script = self.path("wrk.lua", lua(kind, size, key))
        seconds, faults = proxy.stat()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{self.args.seconds}s", "--latency", "-s", script,
                   f"http://127.0.0.1:{proxy.port}/v1/messages"]
        out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=self.args.seconds + 60).stdout
        after, faults_after = proxy.stat()
        found = re.search(r"RESULT (.*)", out)
        result = json.loads(found.group(1)) if found else {"errors": -1}
        requests = max(result.get("requests", 0), 1)
        return {
            "proxy": proxy.name, "kind": kind, "size": size, "connections": connections,
            "void": result["errors"] != 0, "requests": requests,
            "rate": result.get("requests", 0) / max(result.get("seconds", 0), 0.001),
            "p50": result.get("p50"), "p99": result.get("p99"), "p999": result.get("p999"),
            "cpu_us": (after - seconds) / requests * 1e6,
            "faults": (faults_after - faults) / requests,
        }

    # What is no window of wrk

    def open_loops(self):
        """Requests that come at a constant rate whether the former ones are answered or not: what a queue does to the slow
        ones shows (latency counts from when a request was due)."""
        if not shutil.which("oha", path=TOOLS):
            return {}
        body = self.path("body.json", json.dumps({"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [
            {"role": "user", "content": sources()[: 2 * KB]}]}))
        return {proxy.name: self.open_loop(proxy, body) for proxy in self.proxies}

    def open_loop(self, proxy, body):
        key = getattr(proxy, "keys", {}).get("load", "no-key")
        command = [os.path.join(TOOLS, "oha"), "--no-tui", "--output-format", "json", "-q", str(self.args.open_rate),
                   "--latency-correction", "-c", "64", "-z", f"{self.args.seconds}s", "-m", "POST", "-D", body,
                   "-H", f"x-api-key: {key}", "-H", "content-type: application/json",
                   f"http://127.0.0.1:{proxy.port}/v1/messages"]
        out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=self.args.seconds + 60).stdout
        told = json.loads(out)
        codes = told["statusCodeDistribution"]
        quantiles = {name: told["latencyPercentiles"][name] * 1e6 for name in ["p50", "p99", "p99.9"]}
        return {"rate": self.args.open_rate, "sent": sum(codes.values()), "void": set(codes) != {"200"}, **quantiles}

    def syscalls(self):
        """System calls of one request, by size of its body, counted by perf; absent where it may not count."""
        found = {}
        for proxy in self.proxies:
            if proxy.pids() and shutil.which("perf"):
                found[proxy.name] = {size: self.syscalls_of(proxy, size) for size in [2 * KB, 300 * KB]}
        return found

    def syscalls_of(self, proxy, size):
        out = self.path("perf.csv", "")
        pids = ",".join(map(str, proxy.pids()))
        perf = self.spawn(["perf", "stat", "-x,", "-o", out, "-e", "raw_syscalls:sys_enter", "-p", pids])
        time.sleep(0.5)
        window = self.window(proxy, "json", size, 16)
        perf.send_signal(signal.SIGINT)
        perf.wait(10)
        with open(out, encoding="ascii") as file:
            count = re.search(r"^(\d+),.*sys_enter", file.read(), re.MULTILINE)
        if not count or window["void"]:
            return None
        return int(count.group(1)) / window["requests"]

    def streams(self):
        """Time to the first token, and how late each event is: one stream after another, each of 64 events a millisecond apart."""
        return {proxy.name: self.run_streams(proxy, 1, 1000, 2 * KB, 30) for proxy in self.proxies}

    def run_streams(self, proxy, count, pace, size, repeat):
        key = getattr(proxy, "keys", {}).get("load", "no-key")
        command = [f"{self.target}/examples/streams", f"127.0.0.1:{proxy.port}", key, str(count), str(EVENTS),
                   str(pace), str(size), str(repeat)]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)

    def refusals(self):
        """CPU of requests that end at the gateway: an unknown key, and a private key in the body. Absent where a window is
        void: without rules nothing is blocked."""
        found = {}
        for proxy in self.proxies:
            if hasattr(proxy, "keys"):
                windows = {kind: self.window(proxy, kind, 2 * KB, 16) for kind in ["json", "unknown-key", "blocked"]}
                found[proxy.name] = {kind: None if window["void"] else window["cpu_us"] for kind, window in windows.items()}
        return found

    def memory(self):
        """Resident memory before, under 512 streams at once, and ten seconds after."""
        found = {}
        for proxy in self.proxies:
            if not proxy.pids():
                continue
            before, peak = proxy.memory(), 0
            key = getattr(proxy, "keys", {}).get("load", "no-key")
            command = [f"{self.target}/examples/streams", f"127.0.0.1:{proxy.port}", key, "512", str(EVENTS), "50000",
                       str(2 * KB), "1"]
            client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            while client.poll() is None:
                peak = max(peak, proxy.memory())
                time.sleep(0.1)
            report = json.loads(client.stdout.read())
            time.sleep(10)
            found[proxy.name] = {"before": before, "peak": peak, "after": proxy.memory(), "streams": report["streams"],
                                 "whole": report["whole"]}
        return found


def cores():
    return len(os.sched_getaffinity(0))


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def wait(port):
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    sys.exit(f"nothing listens on port {port}")


def sources():
    """Source code, as agents send it: the project's own."""
    names = sorted(glob.glob(os.path.join(ROOT, "src", "**", "*.rs"), recursive=True))
    return "".join(open(name, encoding="utf-8").read() for name in names if "/scan/" not in name)


def lua(kind, size, key):
    """A script for wrk whose bodies differ in every half KiB (so that nothing can have been seen before), or, for the
    agent's next turn, in their last twentieth alone."""
    text = sources()
    pieces = [text[at : at + 480] for at in range(0, size, 480)] if kind != "blocked" else [private_key()]
    if kind == "redact":
        pieces[0] = " ".join(f"token {number}: {token(number)}\n" for number in range(3)) + pieces[0]
    fresh = max(1, len(pieces) // 20) if kind == "next" else len(pieces)
    old, new = pieces[: len(pieces) - fresh], pieces[len(pieces) - fresh :]
    head = '{"model": "claude-haiku-4-5", "max_tokens": 100, "messages": ['
    said = [f'{{"role": "user", "content": {json.dumps("".join(old[at : at + 16]))}}}, ' for at in range(0, len(old), 16)]
    fixed = head + "".join(said) + '{"role": "user", "content": "'
    listed = ",\n".join(quote(json.dumps(piece)[1:-1]) for piece in new)
    headers = {"content-type": "application/json", "x-api-key": "tg_live_unknown" if kind == "unknown-key" else key}
    if kind == "sse":
        headers["x-load-events"] = str(EVENTS)
    if kind == "redact":
        headers["x-load-echo"] = "1"
    listing = "\n".join(f"wrk.headers[ {quote(name)} ] = {quote(value)}" for name, value in headers.items())
    refused = {"unknown-key": 401, "blocked": 400}.get(kind, 200)
    return LUA.format(listing=listing, fixed=quote(fixed), pieces=listed, status=refused)


def quote(text):
    return "[==[\n" + text + "]==]"


def token(number):
    """A key of a shape that the rules know, made here so that none stands in a file."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    return "AKIA" + "".join(letters[(number * 7 + at * at * 5 + at * 11) % 32] for at in range(16))


def private_key():
    """A block of the shape of a key, made here so that none stands in a file: its head in DER, and noise."""
    kind = "PRIVATE KEY"
    der = bytes.fromhex("308204bd020100300d06092a864886f70d0101010500048204a7") + random.Random(7).randbytes(1191)
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN {kind}-----\n{body}-----END {kind}-----\n"


LUA = """
wrk.method = "POST"
{listing}
local fixed = {fixed}
local pieces = {{
{pieces}
}}
local at, parts = 0, {{}}
request = function()
   parts[1] = fixed
   for index, piece in ipairs(pieces) do
      at = at + 1
      parts[2 * index] = string.format("%x ", at)
      parts[2 * index + 1] = piece
   end
   parts[2 * #pieces + 2] = '"}}]}}'
   return wrk.format(nil, nil, nil, table.concat(parts))
end
done = function(summary, latency)
   local errors = summary.errors
   local unwanted = {status} < 400 and errors.status or summary.requests - errors.status
   local failed = errors.connect + errors.read + errors.write + errors.timeout + unwanted
   io.write(string.format(
      'RESULT {{"requests": %d, "seconds": %.3f, "errors": %d, "p50": %d, "p99": %d, "p999": %d}}\\n',
      summary.requests, summary.duration / 1e6, failed,
      latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""

NGINX = """
daemon off; worker_processes {cores}; pid {work}/nginx.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_max_body_size 64m; client_body_buffer_size 4m; client_body_temp_path {work}/nginx-body;
  proxy_temp_path {work}/nginx-proxy; keepalive_requests 1000000000;
  upstream provider {{ server 127.0.0.1:{provider}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }}
  }}
}}
"""

HAPROXY = """
global
  nbthread {cores}
  maxconn 4096
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 600s
frontend data
  bind 127.0.0.1:{port}
  default_backend provider
backend provider
  http-reuse always
  server provider 127.0.0.1:{provider}
"""

TOLLGATE = """
[listen]
data = "127.0.0.1:0"
admin = "127.0.0.1:0"
[state]
dir = "state"
[provider.anthropic]
dialect = "anthropic"
addresses = ["http://127.0.0.1:{provider}"]
credential = "env:LOADTEST_KEY"
[prices]
file = "{root}/conf/prices.toml"
[scan]
rules = ["{rules}"]
[scan.actions]
private_key = "block"
"""

DIRECTORY = """
organisation = "acme"
[[team]]
name = "load"
[[team.budget]]
window = "month"
limit = "1000000.00"
[[team]]
name = "redacted"
[team.actions]
aws_access_key = "redact"
[[team.budget]]
window = "month"
limit = "1000000.00"
"""

# One rule that nothing matches: what is left is the walk through the body.
NO_RULES = """
[[rule]]
id = "nothing"
category = "nothing"
description = "Matches nothing that is sent here"
pattern = "tollgate_load_test_[0-9]{40}"
keywords = ["tollgate_load_test_"]
examples = ["«tollgate_load_test_{digits:40}»"]
"""


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = re.findall(r"model name\s*: (.*)", file.read())
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout
    return {"cpu": models[0] if models else "unknown", "cores": cores(), "kernel": platform.release(),
            "commit": commit.strip(), "date": datetime.date.today().isoformat()}


def line(window):
    void = " VOID" if window["void"] else ""
    return (f"{window['kind']:8} {window['size']:8} c{window['connections']:<4} {window['proxy']:20} "
            f"{window['rate']:9.0f}/s p50 {window['p50']} p99 {window['p99']} cpu {window['cpu_us']:.1f} us{void}")


def summarise(windows):
    """The medians of each proxy's windows of a kind, and its CPU over the pass-through's of the same kind."""
    groups = {}
    for window in windows:
        if not window["void"]:
            key = (window["kind"], window["size"], window["connections"])
            groups.setdefault(key, {}).setdefault(window["proxy"], []).append(window)
    rows = []
    for (kind, size, connections), proxies in groups.items():
        for name, same in proxies.items():
            middle = {field: statistics.median(window[field] for window in same)
                      for field in ["rate", "p50", "p99", "p999", "cpu_us", "faults"]}
            rows.append({"kind": kind, "size": size, "connections": connections, "proxy": name, "windows": len(same),
                         **middle, "ratio": ratio(same, proxies.get("passthrough"))})
    return rows


def ratio(windows, bare):
    """The median of the ratios of windows of the same round."""
    if not bare:
        return None
    base = {window["round"]: window["cpu_us"] for window in bare}
    ratios = [window["cpu_us"] / base[window["round"]] for window in windows if base.get(window["round"])]
    return statistics.median(ratios) if ratios else None


def markdown(report):
    at = report["machine"]
    out = [f"Kernel {at['kernel']}, {at['cpu']}, {at['cores']} cores, commit {at['commit']}, {at['date']}; "
           f"{report['rounds']} windows of {report['seconds']:g} s each, interleaved; medians.", "",
           "| traffic | body | connections | proxy | requests/s | p50 µs | p99 µs | p99.9 µs | CPU µs | × pass-through | page faults |",
           "|---|---|---|---|---|---|---|---|---|---|---|"]
    for row in report["table"]:
        times = "" if row["ratio"] is None or row["proxy"] == "direct" else f"{row['ratio']:.2f}"
        out.append(f"| {row['kind']} | {row['size'] // KB} KiB | {row['connections']} | {row['proxy']} | {row['rate']:.0f} | "
                   f"{row['p50']:.0f} | {row['p99']:.0f} | {row['p999']:.0f} | {row['cpu_us']:.1f} | {times} | {row['faults']:.2f} |")
    out += ["", "| open loop, 2 KiB | requests/s | p50 µs | p99 µs | p99.9 µs |", "|---|---|---|---|---|"]
    for name, seen in report["open"].items():
        times = "void" if seen["void"] else " | ".join(f"{seen[name]:.0f}" for name in ["p50", "p99", "p99.9"])
        out.append(f"| {name} | {seen['rate']} | {times} |")
    out += ["", "| system calls of a request | 2 KiB | 300 KiB |", "|---|---|---|"]
    for name, seen in report["syscalls"].items():
        counts = ["" if count is None else f"{count:.1f}" for count in seen.values()]
        out.append(f"| {name} | {' | '.join(counts)} |")
    out += ["", "| streams, one at a time | first token p50 µs | p99 | event late p50 µs | p99 |", "|---|---|---|---|---|"]
    for name, seen in report["streams"].items():
        first, late = seen["first_us"], seen["late_us"]
        out.append(f"| {name} | {first['p50']} | {first['p99']} | {late['p50']} | {late['p99']} |")
    out += ["", "| memory, 512 streams at once | before MB | peak MB | after MB | whole |", "|---|---|---|---|---|"]
    for name, seen in report["memory"].items():
        sizes = " | ".join(f"{seen[when] / 1e6:.1f}" for when in ["before", "peak", "after"])
        out.append(f"| {name} | {sizes} | {seen['whole']} of {seen['streams']} |")
    out += ["", "| CPU µs of a request | forwarded | unknown key | blocked |", "|---|---|---|---|"]
    for name, seen in report["refusals"].items():
        costs = ["void" if seen[kind] is None else f"{seen[kind]:.1f}" for kind in ["json", "unknown-key", "blocked"]]
        out.append(f"| {name} | {' | '.join(costs)} |")
    return "\n".join(out)


def save(folder, report):
    os.makedirs(folder, exist_ok=True)
    for name, text in [("loadtest.json", json.dumps(report, indent=1)), ("loadtest.md", markdown(report) + "\n"),
                       ("loadtest.svg", plot(report["table"]))]:
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
