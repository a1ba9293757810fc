"""What a request has Tollgate's allocator give out, by the statistics that jemalloc writes when a process ends.

Only what Rust allocates, in the whole process, the audit's threads among it: C libraries (TLS, expressions, SQLite) use the C
library's allocator, which nobody counts, as the pass-through does.
"""

import sys

from bench import stop
from traffic import KB

# A table of the sizes of all arenas together, as text: the JSON leaves out how often large sizes were asked for.
CONF = "stats_print:true,stats_print_opts:gdaxeh"
SHORT, LONG = 1, 5


def allocations(bench):
    """Allocations of a request and their bytes, by gateway and size of the body; absent where the allocator counts nothing.

    A start allocates as much as thousands of requests do (rules, prices). So two processes serve windows of 1 and of 5
    seconds from as many connections, and what the longer one allocated beyond the other is divided by the requests it served
    beyond the other. Starts differ by a tenth of a megabyte: four seconds of requests make that some ten bytes a request.
    """
    found = {}
    for proxy in bench.proxies:
        if hasattr(proxy, "rules"):
            sizes = {size: of_a_request(bench, proxy, size) for size in [2 * KB, 300 * KB]}
            if any(sizes.values()):
                found[proxy.name] = sizes
    return found


def of_a_request(bench, proxy, size):
    seen = []
    for length in [SHORT, LONG]:
        seen.append(served(bench, proxy, size, length))
        if seen[-1] is None:
            return None
    requests, count, total = (more - less for less, more in zip(*seen, strict=True))
    return {"allocations": count / requests, "bytes": total / requests} if requests > 0 else None


def served(bench, proxy, size, length):
    """Requests, allocations and their bytes of one process from its start to its end; None where they were not counted."""
    counted = bench.gateway(f"{proxy.name}-{size}-{length}", proxy.rules, _RJEM_MALLOC_CONF=CONF)
    window = bench.window(counted, "json", size, 16, length)
    stop(counted.process)
    with open(counted.log, encoding="utf-8") as file:
        given = given_out(file.read())
    if window["void"] or given is None:
        print(f"{counted.name}: {'void' if window['void'] else 'its allocator does not count'}", file=sys.stderr)
        return None
    return window["requests"], *given


def given_out(text):
    """Allocations, and their bytes by size class, in jemalloc's tables of small and large sizes; None without tables.

    `nrequests` counts what a thread's own cache answered too, `nmalloc` of small sizes only what filled the caches."""
    count = total = 0
    column = None
    for words in map(str.split, text.splitlines()):
        if words[:2] in (["bins:", "size"], ["large:", "size"]):
            column = words.index("nrequests") - 1
        elif column and words and words[0].isdigit():
            count += int(words[column])
            total += int(words[0]) * int(words[column])
        elif words != ["---"]:
            column = None
    return (count, total) if count else None
