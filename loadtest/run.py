#!/usr/bin/env python3
"""The load test: Tollgate beside what an organisation could have put there instead, in one run, on loopback.

Builds, starts a scripted provider, nginx, HAProxy, a bare Pingora pass-through and Tollgate, and measures them in turns,
several rounds over, so that a machine that slows down slows all of them; then Tollgate by the state of its Redis and its
ClickHouse (stores.py). A window with a failed request is void. Writes tables (Markdown), every window (JSON) and a plot
(SVG) to --out. Needs wrk, nginx and haproxy, and for the stores redis-server and the tests' ClickHouse engine
(`make loadtest` installs them). Ends only what it started.
"""

import argparse
import contextlib
import json
import os
import tempfile

import stores
from allocations import allocations
from bench import Bench, build
from plot import plot
from report import machine, markdown, summarise, summarise_stores
from settings import ROOT
from traffic import KB


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
        report["allocations"] = allocations(bench)
        report["streams"] = bench.streams()
        report["refusals"] = bench.refusals()
        report["memory"] = bench.memory()
    windows = stores.measure(args, target, args.store_rounds, 16)
    report["stores"] = {"rounds": args.store_rounds, "windows": windows, "table": summarise_stores(windows)}
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
    parser.add_argument("--store-rounds", type=int, default=3, help="windows of each state of Redis and ClickHouse; 0: none")
    parser.add_argument("--kinds", default="json,sse,next,redact", help="kinds of traffic")
    parser.add_argument("--built", help="a folder with tollgate and examples/, instead of building them")
    parser.add_argument("--out", default=os.path.join(ROOT, "target", "loadtest"))
    return parser.parse_args()


def ints(text):
    return [int(part) for part in text.split(",")]


def save(folder, report):
    os.makedirs(folder, exist_ok=True)
    for name, text in [("loadtest.json", json.dumps(report, indent=1)), ("loadtest.md", markdown(report) + "\n"),
                       ("loadtest.svg", plot(report["table"]))]:
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
