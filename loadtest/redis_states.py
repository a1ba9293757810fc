#!/usr/bin/env python3
"""Whether a request feels Redis: three equal gateways side by side, one whose Redis answers, one whose Redis was stopped,
one whose Redis takes 30 seconds for each answer; and two more that answer as well, to show what the machine does by itself.

Windows of all of them take turns, in another order each round, so that a machine that slows down slows all of them. Prints
requests per second and CPU per request, each as the median over the rounds of its ratio to the same round's mean of the
gateways whose Redis answers: CPU is the steadier of the two. Needs wrk and redis-server. Ends only what it started.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from bench import Bench, Proxy, build, free_port, stop, wait
from report import line
from settings import NO_RULES, ROOT, TOLLGATE
from traffic import KB

SLOW = 30
UP = ["up", "up-too"]
BUDGET = """
organisation = "acme"
[[team]]
name = "load"
[[team.budget]]
window = "month"
limit = "1000000.00"
on_store_loss = "deny"
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--profile", default="release")
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--built", help="a folder with tollgate and examples/provider, instead of building them")
    parser.add_argument("--out", help="a file for every window, in JSON")
    args = parser.parse_args()
    target = build(args)
    with contextlib.ExitStack() as stack:
        work = stack.enter_context(tempfile.TemporaryDirectory(prefix="tollgate-redis-"))
        windows = measure(args, Fleet(args, work, target, stack))
    if args.out:
        with open(args.out, "w", encoding="utf-8") as file:
            json.dump(windows, file, indent=1)
    show(windows)


class Fleet(Bench):
    """Gateways by the state of their Redis. Each has its own, so that none of them lends to another."""

    def start(self):
        self.spawn([f"{self.target}/examples/provider", f"127.0.0.1:{self.provider}"])
        wait(self.provider)
        stopped, slow = self.redis(), self.redis()
        delay = Delay(slow[0])
        for name, port in [("up", self.redis()[0]), ("stopped", stopped[0]), ("slow", delay.port), ("up-too", self.redis()[0])]:
            self.proxies.append(self.node(name, port))
        for proxy in self.proxies:
            wait_for_lease(proxy)
        stop(stopped[1])
        delay.seconds = SLOW
        # Both must be known to be away.
        time.sleep(8)

    def redis(self):
        port = free_port()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        process = self.spawn(command, stdout=subprocess.DEVNULL)
        wait(port)
        return port, process

    def node(self, name, redis):
        folder = os.path.join(self.work, name)
        os.mkdir(folder)
        rules = self.path("no-rules.toml", NO_RULES)
        admin = free_port()
        text = TOLLGATE.format(provider=self.provider, root=ROOT, rules=rules)
        text = text.replace('admin = "127.0.0.1:0"', f'admin = "127.0.0.1:{admin}"')
        conf = self.path(f"{name}/tollgate.toml", f'{text}[redis]\nurl = "redis://127.0.0.1:{redis}"\n')
        env = dict(os.environ, TOLLGATE_CONFIG=conf, LOADTEST_KEY="the-key-of-the-load-test", RUST_LOG="warn")
        tollgate = f"{self.target}/tollgate"
        directory = self.path(f"{name}/directory.toml", BUDGET)
        subprocess.run([tollgate, "apply", directory], env=env, check=True, stdout=subprocess.DEVNULL)
        made = subprocess.run([tollgate, "key", "create", "--team", "load", "--json"], env=env, check=True,
                              capture_output=True, text=True)
        log = open(self.path(f"{name}.log"), "w", encoding="utf-8")
        process = self.spawn([tollgate, "serve"], env=env, stdout=subprocess.PIPE, stderr=log, text=True)
        listening = json.loads(process.stdout.readline())
        proxy = Proxy(name, int(listening["data"].rsplit(":", 1)[1]), process)
        proxy.keys = {"load": json.loads(made.stdout)["key"]}
        proxy.admin = admin
        return proxy


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


def gauge(proxy, line):
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin}/metrics", timeout=10) as answer:
        for text in answer.read().decode().splitlines():
            if text.startswith(line):
                return int(text.rsplit(" ", 1)[1])
    return 0


def wait_for_lease(proxy):
    for _ in range(300):
        if gauge(proxy, 'tollgate_lease_nanousd{kind="leased"}') > 0:
            return
        time.sleep(0.1)
    sys.exit(f"{proxy.name}: no lease came")


def measure(args, fleet):
    fleet.args.sizes = [2 * KB]
    fleet.start()
    for proxy in fleet.proxies:
        away = gauge(proxy, 'tollgate_fleet{kind="away"}')
        if (away == 1) != (proxy.name not in UP):
            sys.exit(f"{proxy.name}: away is {away}")
        fleet.window(proxy, "json", 2 * KB, args.connections)
    windows, order = [], random.Random(5)
    for round_ in range(args.rounds):
        for proxy in order.sample(fleet.proxies, len(fleet.proxies)):
            window = dict(fleet.window(proxy, "json", 2 * KB, args.connections), round=round_)
            print(line(window), file=sys.stderr)
            windows.append(window)
    return windows


def show(windows):
    void = sum(window["void"] for window in windows)
    print(f"{len(windows)} windows, {void} of them void\n")
    print("| Redis | requests/s | CPU µs/request | requests/s beside up | CPU beside up |")
    print("|---|---|---|---|---|")
    good = [window for window in windows if not window["void"]]
    for name in dict.fromkeys(window["proxy"] for window in windows):
        own = [window for window in good if window["proxy"] == name]
        middle = {field: statistics.median(window[field] for window in own) for field in ["rate", "cpu_us"]}
        beside = {field: ratio(good, own, field) for field in ["rate", "cpu_us"]}
        print(f"| {name} | {middle['rate']:.0f} | {middle['cpu_us']:.1f} | {beside['rate'] - 1:+.1%} | {beside['cpu_us'] - 1:+.1%} |")


def ratio(windows, own, field):
    def base(round_):
        same = [window[field] for window in windows if window["round"] == round_ and window["proxy"] in UP]
        return statistics.mean(same) if same else None

    ratios = [window[field] / base(window["round"]) for window in own if base(window["round"])]
    return statistics.median(ratios)


if __name__ == "__main__":
    main()
