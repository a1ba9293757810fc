"""What is sent: scripts for wrk whose bodies are source code, as agents send it."""

import base64
import glob
import json
import os
import random

from settings import ROOT

KB = 1024
# Of an answer that is streamed.
EVENTS = 64


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
