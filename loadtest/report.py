"""What was measured, summarised and written as Markdown."""

import datetime
import platform
import re
import statistics
import subprocess

from settings import ROOT, cores
from traffic import KB

# Gateways without Redis and ClickHouse: two, so that it shows what the machine does by itself.
NO_STORE = ["none", "none-too"]
STORES = [*NO_STORE, "redis-up", "redis-slow", "redis-down", "clickhouse-up", "clickhouse-down"]


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
    head = (f"Kernel {at['kernel']}, {at['cpu']}, {at['cores']} cores, commit {at['commit']}, {at['date']}; "
            f"{report['rounds']} windows of {report['seconds']:g} s each, interleaved; medians.")
    return "\n".join([head, *proxies(report["table"]), *open_loops(report["open"]), *calls(report["syscalls"]),
                      *allocated(report["allocations"]), *streams(report["streams"]), *memory(report["memory"]),
                      *refusals(report["refusals"]), *stores(report["stores"]["table"])])


def table(head, rows):
    """Nothing where there are no rows."""
    lines = [f"| {' | '.join(cells)} |" for cells in [head, *rows]]
    return ["", lines[0], "|---" * len(head) + "|", *lines[1:]] if rows else []


def proxies(rows):
    head = ["traffic", "body", "connections", "proxy", "requests/s", "p50 µs", "p99 µs", "p99.9 µs", "CPU µs", "× pass-through",
            "page faults"]
    return table(head, [[
        row["kind"], f"{row['size'] // KB} KiB", str(row["connections"]), row["proxy"], f"{row['rate']:.0f}", f"{row['p50']:.0f}",
        f"{row['p99']:.0f}", f"{row['p999']:.0f}", f"{row['cpu_us']:.1f}",
        "" if row["ratio"] is None or row["proxy"] == "direct" else f"{row['ratio']:.2f}", f"{row['faults']:.2f}",
    ] for row in rows])


def open_loops(found):
    head = ["open loop, 2 KiB", "requests/s", "p50 µs", "p99 µs", "p99.9 µs"]
    return table(head, [
        [name, str(seen["rate"]), *("void" if seen["void"] else f"{seen[quantile]:.0f}" for quantile in ["p50", "p99", "p99.9"])]
        for name, seen in found.items()])


def calls(found):
    return table(["system calls of a request", "2 KiB", "300 KiB"], [
        [name, *("" if count is None else f"{count:.1f}" for count in seen.values())] for name, seen in found.items()])


def allocated(found):
    def cells(seen):
        return ["", ""] if seen is None else [f"{seen['allocations']:.1f}", f"{seen['bytes'] / KB:.1f}"]

    head = ["allocated for a request", "2 KiB, allocations", "KiB", "300 KiB, allocations", "KiB"]
    return table(head, [[name, *(cell for seen in sizes.values() for cell in cells(seen))] for name, sizes in found.items()])


def streams(found):
    head = ["streams, one at a time", "first token p50 µs", "p99", "event late p50 µs", "p99"]
    return table(head, [
        [name, *(str(seen[what][quantile]) for what in ["first_us", "late_us"] for quantile in ["p50", "p99"])]
        for name, seen in found.items()])


def memory(found):
    head = ["memory, 512 streams at once", "before MB", "peak MB", "after MB", "whole"]
    return table(head, [
        [name, *(f"{seen[when] / 1e6:.1f}" for when in ["before", "peak", "after"]), f"{seen['whole']} of {seen['streams']}"]
        for name, seen in found.items()])


def refusals(found):
    return table(["CPU µs of a request", "forwarded", "unknown key", "blocked"], [
        [name, *("void" if seen[kind] is None else f"{seen[kind]:.1f}" for kind in ["json", "unknown-key", "blocked"])]
        for name, seen in found.items()])


def stores(rows):
    head = ["store", "requests/s", "CPU µs of a request", "requests/s beside none", "CPU beside none"]

    def beside(ratio):
        return "" if ratio is None else f"{ratio - 1:+.1%}"

    return table(head, [
        [row["store"], f"{row['rate']:.0f}", f"{row['cpu_us']:.1f}", beside(row["rate_beside"]), beside(row["cpu_beside"])]
        if row["windows"] else [row["store"], "void", "", "", ""] for row in rows])


def summarise_stores(windows):
    """The medians of each gateway's windows, and of their ratios to the same round's windows of the gateways without a store."""
    rows, good = [], [window for window in windows if not window["void"]]
    for name in sorted({window["proxy"] for window in windows}, key=STORES.index):
        own = [window for window in good if window["proxy"] == name]
        row = {"store": name, "windows": len(own)}
        for field, short in [("rate", "rate"), ("cpu_us", "cpu")] if own else []:
            row[field] = statistics.median(window[field] for window in own)
            row[f"{short}_beside"] = beside_none(good, own, field)
        rows.append(row)
    return rows


def beside_none(windows, own, field):
    base = {}
    for window in windows:
        if window["proxy"] in NO_STORE:
            base.setdefault(window["round"], []).append(window[field])
    ratios = [window[field] / statistics.mean(base[window["round"]]) for window in own if window["round"] in base]
    return statistics.median(ratios) if ratios else None
