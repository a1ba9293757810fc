#!/usr/bin/env python3
"""Whether a request feels the stores: equal gateways side by side, whose Redis answers, takes 30 seconds for each answer, or
was stopped; whose ClickHouse answers, or was stopped; and two without any, to show what the machine does by itself.

Windows of all of them take turns, in another order each round, so that a machine that slows down slows all of them. Prints
requests per second and CPU per request, each also as the median over the rounds of its ratio to the same round's mean of the
two without: CPU is the steadier of the two. ClickHouse is the engine that the tests use, in Python on the same cores: while
it takes rows there are fewer requests, which says nothing of a gateway; its CPU is not the gateway's, the one that is shown.

Needs wrk, and redis-server and the tests' engine for their rows. Ends only what it started.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from bench import Bench, build, free_port, stop, wait
from report import NO_STORE, line, stores, summarise_stores
from settings import DIRECTORY, NO_RULES, ROOT
from traffic import KB

SLOW = 30
LEASED = 'tollgate_lease_nanousd{kind="leased"}'
AWAY = 'tollgate_fleet{kind="away"}'
WRITTEN = 'tollgate_audit_rows{what="written"}'
ARRIVED = 'tollgate_audit_sink{{sink="{}",what="rows"}}'
FAILING = 'tollgate_audit_sink{sink="clickhouse",what="failing"}'


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--profile", default="release")
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--built", help="a folder with tollgate and examples/provider, instead of building them")
    parser.add_argument("--out", help="a file for every window, in JSON")
    args = parser.parse_args()
    windows = measure(args, build(args), args.rounds, args.connections)
    if args.out:
        with open(args.out, "w", encoding="utf-8") as file:
            json.dump(windows, file, indent=1)
    print(f"{len(windows)} windows, {sum(window['void'] for window in windows)} of them void")
    print("\n".join(stores(summarise_stores(windows))))


def measure(args, target, rounds, connections):
    """The windows of every gateway, so many rounds."""
    if not rounds:
        return []
    with contextlib.ExitStack() as stack:
        work = stack.enter_context(tempfile.TemporaryDirectory(prefix="tollgate-stores-"))
        fleet = Fleet(args, work, target, stack)
        fleet.start()
        return fleet.turns(rounds, connections)


class Fleet(Bench):
    """Gateways by the state of their store. Each has its own, so that none of them lends to another."""

    def start(self):
        self.start_provider()
        self.rules = self.path("no-rules.toml", NO_RULES)
        for name in NO_STORE:
            self.node(name, "")
        self.with_redis()
        self.with_clickhouse()

    def node(self, name, settings, migrate=False):
        env = self.prepared(name, self.rules, DIRECTORY, settings)
        if migrate:
            self.run(env, "migrate")
        proxy = self.serve(name, self.rules, env, {"load": self.key(env, "load")})
        self.proxies.append(proxy)
        return proxy

    def until(self, proxy, gauge, reached):
        """Leaves out a gateway whose state is not the one it is there to show."""
        if not within(30, lambda: reached(metric(proxy, gauge))):
            print(f"{proxy.name} is left out: {gauge} is {metric(proxy, gauge)}", file=sys.stderr)
            self.proxies.remove(proxy)

    def with_redis(self):
        if not shutil.which("redis-server"):
            print("redis-server is not installed: no gateway with a Redis", file=sys.stderr)
            return
        (up, _), (slow, _), (down, ends) = self.redis(), self.redis(), self.redis()
        delay = Delay(slow)
        nodes = [self.node(name, f'[redis]\nurl = "redis://127.0.0.1:{port}"\n')
                 for name, port in [("redis-up", up), ("redis-slow", delay.port), ("redis-down", down)]]
        for proxy in nodes:
            within(30, lambda proxy=proxy: metric(proxy, LEASED) > 0)
        stop(ends)
        delay.seconds = SLOW
        for proxy in nodes[1:]:
            self.until(proxy, AWAY, lambda away: away == 1)
        self.until(nodes[0], AWAY, lambda away: away == 0)

    def redis(self):
        port = free_port()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        process = self.spawn(command, stdout=subprocess.DEVNULL)
        wait(port)
        return port, process

    def with_clickhouse(self):
        """The one that goes down has taken rows before."""
        settings = '[audit.clickhouse]\nurl = "http://127.0.0.1:{}"\n'
        for name in ["clickhouse-down", "clickhouse-up"]:
            port, engine = self.engine(name)
            if engine is None:
                print("no ClickHouse engine (tests/facade/install): no gateway with a ClickHouse", file=sys.stderr)
                return
            proxy = self.node(name, settings.format(port), migrate=True)
            self.window(proxy, "json", 2 * KB, 1, 1)
            self.until(proxy, ARRIVED.format("clickhouse"), lambda rows: rows > 0)
            if name == "clickhouse-down":
                stop(engine)
                self.window(proxy, "json", 2 * KB, 1, 1)
                self.until(proxy, FAILING, lambda failing: failing == 1)

    def engine(self, name):
        """The port of ClickHouse's engine and its process; None where there is none."""
        python = os.environ.get("CHDB_PYTHON") or os.path.join(ROOT, ".venv", "bin", "python")
        if not shutil.which(python):
            return None, None
        front = os.path.join(ROOT, "tests", "facade", "chdb_http.py")
        process = self.spawn([python, front, "--path", self.path(f"engine-of-{name}")], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
        words = process.stdout.readline().split()
        return (int(words[1]), process) if words[:1] == ["READY"] else (None, None)

    def turns(self, rounds, connections):
        for proxy in self.proxies:
            self.window(proxy, "json", 2 * KB, connections)
        windows, order = [], random.Random(5)
        for round_ in range(rounds):
            for proxy in order.sample(self.proxies, len(self.proxies)):
                window = dict(self.window(proxy, "json", 2 * KB, connections), round=round_)
                print(line(window), file=sys.stderr)
                windows.append(window)
        return windows

    def window(self, proxy, *what):
        """With the CPU until the last row has arrived wherever it goes: ClickHouse may be slower than the gateway, and is not to
        be at it still during another's window."""
        seconds, _ = proxy.stat()
        window = super().window(proxy, *what)
        sinks = ["sqlite", "clickhouse"] if proxy.name == "clickhouse-up" else ["sqlite"]
        whole = within(120, lambda: all(metric(proxy, ARRIVED.format(sink)) >= metric(proxy, WRITTEN) for sink in sinks))
        window["void"] = window["void"] or not whole
        window["cpu_us"] = (proxy.stat()[0] - seconds) / window["requests"] * 1e6
        return window


class Delay:
    """A way to a Redis on which every answer takes so many seconds."""

    def __init__(self, to):
        self.to, self.port, self.seconds = to, free_port(), 0
        threading.Thread(target=lambda: asyncio.run(self.serve()), daemon=True).start()
        wait(self.port)

    async def serve(self):
        server = await asyncio.start_server(self.carry, "127.0.0.1", self.port)
        await server.serve_forever()

    async def carry(self, reader, writer):
        with contextlib.suppress(OSError):
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.to)
            await asyncio.gather(self.pipe(reader, to_writer, False), self.pipe(to_reader, writer, True))

    async def pipe(self, reader, writer, late):
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                await asyncio.sleep(self.seconds if late else 0)
                writer.write(piece)
                await writer.drain()
            writer.close()


def metric(proxy, name):
    with urllib.request.urlopen(f"http://{proxy.admin}/metrics", timeout=10) as answer:
        for text in answer.read().decode().splitlines():
            if text.startswith(name):
                return int(text.rsplit(" ", 1)[1])
    return 0


def within(seconds, reached):
    """Whether it was reached before so many seconds had passed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if reached():
            return True
        time.sleep(0.1)
    return False


if __name__ == "__main__":
    main()
