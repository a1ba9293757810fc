"""What was measured, summarised and written as Markdown."""

import datetime
import platform
import re
import statistics
import subprocess

from settings import ROOT, cores
from traffic import KB


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
    out += allocated(report["allocations"])
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


def allocated(found):
    if not found:
        return []
    out = ["", "| allocated for a request | 2 KiB, allocations | KiB | 300 KiB, allocations | KiB |", "|---|---|---|---|---|"]
    for name, sizes in found.items():
        cells = [" | " if seen is None else f"{seen['allocations']:.1f} | {seen['bytes'] / KB:.1f}" for seen in sizes.values()]
        out.append(f"| {name} | {' | '.join(cells)} |")
    return out
