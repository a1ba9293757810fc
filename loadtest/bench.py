"""Starts the provider and what stands between it and wrk, and measures each of them."""

import contextlib
import glob
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

from report import line
from settings import DIRECTORY, HAPROXY, NGINX, NO_RULES, ROOT, TOLLGATE, cores
from traffic import EVENTS, KB, lua, sources

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
# What loadtest/setup builds.
TOOLS = os.path.join(ROOT, "target", "loadtest-tools", "bin")


def build(args):
    """The folder of the programs."""
    if args.built:
        return args.built
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

    def start_provider(self):
        self.spawn([f"{self.target}/examples/provider", f"127.0.0.1:{self.provider}"])
        wait(self.provider)

    def start(self):
        self.start_provider()
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

    def gateway(self, name, rules, **more):
        """A Tollgate with these rules; what else it finds in its environment."""
        env = self.prepared(name, rules, DIRECTORY)
        keys = {team: self.key(env, team) for team in ["load", "redacted"]}
        return self.serve(name, rules, dict(env, **more), keys)

    def prepared(self, name, rules, directory, settings=""):
        """A folder with configuration, settings added, and directory; the environment in which `tollgate` finds them."""
        os.mkdir(self.path(name))
        text = TOLLGATE.format(provider=self.provider, root=ROOT, rules=rules)
        conf = self.path(f"{name}/tollgate.toml", text + settings)
        env = dict(os.environ, TOLLGATE_CONFIG=conf, LOADTEST_KEY="the-key-of-the-load-test", RUST_LOG="warn")
        self.run(env, "apply", self.path(f"{name}/directory.toml", directory))
        return env

    def run(self, env, *words):
        command = [f"{self.target}/tollgate", *words]
        return subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout

    def key(self, env, team):
        return json.loads(self.run(env, "key", "create", "--team", team, "--json"))["key"]

    def serve(self, name, rules, env, keys):
        log = self.path(f"{name}.log")
        with open(log, "w", encoding="utf-8") as errors:
            process = self.spawn([f"{self.target}/tollgate", "serve"], env=env, stdout=subprocess.PIPE, stderr=errors, text=True)
        listening = json.loads(process.stdout.readline())
        proxy = Proxy(name, int(listening["data"].rsplit(":", 1)[1]), process)
        proxy.keys, proxy.rules, proxy.log, proxy.admin = keys, rules, log, listening["admin"]
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

    def window(self, proxy, kind, size, connections, length=None):
        """What wrk saw in so many seconds, those of the arguments if nothing is said, and what the proxy spent meanwhile."""
        length = length or self.args.seconds
        team = "redacted" if kind == "redact" else "load"
        key = getattr(proxy, "keys", {}).get(team, "no-key")
        script = self.path("wrk.lua", lua(kind, size, key))
        seconds, faults = proxy.stat()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{length}s", "--latency", "-s", script,
                   f"http://127.0.0.1:{proxy.port}/v1/messages"]
        out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=length + 60).stdout
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
        rounds = [{proxy.name: self.open_loop(proxy, body) for proxy in self.proxies} for _ in range(self.args.rounds)]
        return {proxy.name: together([windows[proxy.name] for windows in rounds]) for proxy in self.proxies}

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
        """CPU of requests that end at the gateway, an unknown key and a private key in the body, beside one that is forwarded;
        in turns, medians. Absent where a window is void: without rules nothing is blocked."""
        return {proxy.name: self.refusals_of(proxy) for proxy in self.proxies if hasattr(proxy, "keys")}

    def refusals_of(self, proxy):
        windows = {kind: [] for kind in ["json", "unknown-key", "blocked"]}
        for _ in range(self.args.rounds):
            for kind, same in windows.items():
                same.append(self.window(proxy, kind, 2 * KB, 16))
        return {kind: None if any(window["void"] for window in same) else statistics.median(window["cpu_us"] for window in same)
                for kind, same in windows.items()}

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


def together(windows):
    """The medians of windows of one kind; void where one of them is."""
    return {name: statistics.median(window[name] for window in windows) for name in windows[0]} | {
        "void": any(window["void"] for window in windows)}


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
