#!/usr/bin/env python3
"""ClickHouse's HTTP interface in front of chdb, as far as Tollgate's tests need it.

    chdb_http.py --path DIR [--port 0]      prints "READY <port> <version>", serves until its input ends

A real ClickHouse engine, but not a server: one query at a time, no users, no replication, no streaming of results. The
HTTP status is a guess; clients must go by the exception's code. Faults are asked for by
POST /_fault {"kind": "drop_before" | "drop_after" | "delay" | "error" | "old", "match": "INSERT", "body": "", "n": 1,
"ms": 0, "code": 252, "version": "18.16.1", "unknown": ["setting"]}: n times, until {"kind": "clear"}, where the query
matches and the body contains the text. "delay" does what was asked, but late; "old" is a server of that version that has
not heard of those settings. POST /_stats {} answers how many queries came.
"""

import argparse
import json
import re
import sys
import threading
import time
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import chdb
from chdb import _chdb

ENGINE = threading.Lock()
FAULTS = []
STATS = {"inserts": 0, "others": 0}
NOT_SETTINGS = {"query", "database", "user", "password", "compress", "decompress", "default_format", "query_id"}


def lz4(block, size):
    """One block of LZ4, in plain Python: the engine is installed without any other package."""
    out, at = bytearray(), 0
    while at < len(block):
        token, at = block[at], at + 1
        length = token >> 4
        if length == 15:
            while True:
                byte, at = block[at], at + 1
                length += byte
                if byte != 255:
                    break
        out += block[at:at + length]
        at += length
        if at >= len(block):
            break
        offset, at = block[at] | block[at + 1] << 8, at + 2
        length = token & 15
        if length == 15:
            while True:
                byte, at = block[at], at + 1
                length += byte
                if byte != 255:
                    break
        length += 4
        start = len(out) - offset
        if offset >= length:
            out += out[start:start + length]
        else:
            for index in range(length):
                out.append(out[start + index])
    assert len(out) == size
    return bytes(out)


def decompressed(body):
    """ClickHouse's own framing: checksum (16 bytes), method, size with this header, size of the content."""
    out, at = [], 0
    while at < len(body):
        method = body[at + 16]
        packed = int.from_bytes(body[at + 17:at + 21], "little")
        plain = int.from_bytes(body[at + 21:at + 25], "little")
        block = body[at + 25:at + 16 + packed]
        out.append(lz4(block, plain) if method == 0x82 else block)
        at += 16 + packed
    return b"".join(out)


def form(content_type, body):
    message = BytesParser().parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    for part in message.get_payload():
        name = part.get_param("name", header="content-disposition")
        yield name, part.get_payload(decode=True).decode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body, code=None):
        self.send_response(status)
        if code is not None:
            self.send_header("X-ClickHouse-Exception-Code", str(code))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        """The whole body; None where it broke off."""
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while True:
            line = self.rfile.readline()
            if not line.strip():
                return None
            size = int(line, 16)
            part = self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                return b"".join(parts)
            if len(part) < size:
                return None
            parts.append(part)

    def do_GET(self):
        if self.path == "/ping":
            return self.answer(200, b"Ok.\n")
        return self.do_POST()

    def do_POST(self):
        body = self.body()
        if body is None:
            self.close_connection = True
            return None
        if self.path == "/_fault":
            fault = json.loads(body)
            if fault["kind"] == "clear":
                FAULTS.clear()
            else:
                FAULTS.append(fault)
            return self.answer(200, b"")
        if self.path == "/_stats":
            return self.answer(200, json.dumps(STATS).encode())
        params = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        content_type = self.headers.get("Content-Type", "")
        if content_type.startswith("multipart/form-data"):
            params.update(form(content_type, body))
            body = b""
        if params.get("decompress") == "1" and body:
            body = decompressed(body)
        query = params.get("query", "")
        if not query.strip():
            query, body = body.decode(), b""
        STATS["inserts" if query.lstrip().upper().startswith("INSERT") else "others"] += 1
        fault = self.fault(query, body)
        if fault:
            if fault["kind"] == "drop_before":
                self.close_connection = True
                return None
            if fault["kind"] == "delay":
                time.sleep(fault["ms"] / 1000)
            if fault["kind"] == "error":
                text = f"Code: {fault['code']}. DB::Exception: asked for by a test. (TEST)"
                return self.answer(500, text.encode(), fault["code"])
            if fault["kind"] == "old":
                unknown = [name for name in fault.get("unknown", []) if name in params]
                if unknown:
                    text = f"Code: 115. DB::Exception: Unknown setting {unknown[0]}. (UNKNOWN_SETTING)"
                    return self.answer(404, text.encode(), 115)
                if query.startswith("SELECT version()"):
                    return self.answer(200, fault["version"].encode() + b"\n")
        try:
            result = self.run(query, body, params)
        except Exception as error:  # chdb's exceptions carry ClickHouse's text
            text = str(error)
            found = re.search(r"Code: (\d+)", text)
            return self.answer(500, text.encode(), found.group(1) if found else 1000)
        if fault and fault["kind"] == "drop_after":
            self.close_connection = True
            return None
        return self.answer(200, result)

    def fault(self, query, body):
        for fault in FAULTS:
            if fault.get("n", 1) > 0 and re.search(fault.get("match", ""), query) and fault.get("body", "").encode() in body:
                fault["n"] = fault.get("n", 1) - 1
                return fault
        return None

    def run(self, query, body, params):
        named = {name[6:]: value for name, value in params.items() if name.startswith("param_")}
        settings = {name: value for name, value in params.items()
                    if name not in NOT_SETTINGS and not name.startswith("param_")}
        with ENGINE:
            options = "&".join(f"{name}={value}" for name, value in settings.items())
            connection = _chdb.connect(f"{self.server.path}?{options}" if options else self.server.path)
            try:
                if params.get("database"):
                    connection.query(f"USE `{params['database']}`")
                insert = re.fullmatch(r"\s*(INSERT\s.*?)\s+FORMAT\s+(\w+)\s*", query, re.S | re.I)
                if insert:
                    stream = connection.send_insert(insert.group(1), insert.group(2))
                    try:
                        connection.insert_append(stream, body)
                        done = connection.insert_done(stream)
                    except Exception:
                        connection.insert_cancel(stream)
                        raise
                    if done.has_error():
                        raise RuntimeError(done.error_message())
                    return b""
                form_at = re.search(r"\sFORMAT\s+(\w+)\s*$", query, re.I)
                name = form_at.group(1) if form_at else params.get("default_format", "TabSeparated")
                text = query[:form_at.start()] if form_at else query
                result = connection.query(text, name, params=named)
                if result.has_error():
                    raise RuntimeError(result.error_message())
                return result.bytes() or b""
            finally:
                connection.close()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that did not wait for its answer is what some tests are about."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--path", required=True)
    arguments.add_argument("--port", type=int, default=0)
    arguments = arguments.parse_args()
    server = Server(("127.0.0.1", arguments.port), Handler)
    server.path = arguments.path
    # One connection stays open, so that the engine is not started anew for every query.
    keep = _chdb.connect(arguments.path)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("READY", server.server_port, chdb.engine_version, flush=True)
    # Whoever started this holds its input: it ends when they do.
    sys.stdin.read()
    server.shutdown()
    keep.close()


if __name__ == "__main__":
    main()
