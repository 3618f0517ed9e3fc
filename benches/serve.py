#!/usr/bin/env python3
"""Serves a mirror made by `mirror.sh` on loopback: what the publishers, the package index and the git hosts would.

    serve.py DIR [--port N] [--rate MB/s]

    /files/NAME     archives and wheels, with Range, ETag and NAME.metadata (PEP 658)
    /simple/NAME/   the package index, as HTML (PEP 503) or JSON (PEP 691) with sha256 and size
    /git/NAME.git   repositories over git's smart HTTP, by `git http-backend`

It prints its address when it listens. `--rate` makes all bodies together as slow as a network is. Bodies leave by
`sendfile`, so that the server takes next to nothing from what is measured beside it.
"""

import argparse
import hashlib
import html
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.parse
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

JSON_INDEX = "application/vnd.pypi.simple.v1+json"
# As the Python package index says of its pages and of its files.
PAGE_IS_FRESH, FILE_IS_FRESH = "max-age=600", "max-age=365000000, immutable"


class Mirror:
    """What there is: files by name, and of the packages their digests and metadata."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.files = {path.name: path for kind in ("archives", "wheels") for path in (directory / kind).glob("*")}
        self.packages: dict[str, list[dict]] = {}
        self.metadata: dict[str, bytes] = {}
        known = directory / "digests.json"
        digests = json.loads(known.read_text()) if known.exists() else {}
        for path in sorted((directory / "wheels").glob("*")):
            self.add(path, digests)
        known.write_text(json.dumps(digests))

    def add(self, path: Path, digests: dict[str, str]) -> None:
        name = path.name
        if name not in digests:
            with path.open("rb") as file:
                digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
        # `a-b-1.0.tar.gz` and `a_b-1.0-py3-none-any.whl`: the version begins at the last, or the first, dash.
        package = name.split("-")[0] if name.endswith(".whl") else re.sub(r"-[^-]+$", "", name.removesuffix(".tar.gz"))
        package = re.sub(r"[-_.]+", "-", package).lower()
        entry = {"filename": name, "url": f"/files/{name}", "hashes": {"sha256": digests[name]}, "yanked": False}
        entry["size"] = path.stat().st_size
        if name.endswith(".whl"):
            with zipfile.ZipFile(path) as wheel:
                inside = next(it for it in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", it))
                self.metadata[name] = wheel.read(inside)
            entry["core-metadata"] = {"sha256": hashlib.sha256(self.metadata[name]).hexdigest()}
        self.packages.setdefault(package, []).append(entry)


class Rate:
    """Lets so many bytes a second through, for all connections together."""

    def __init__(self, bytes_a_second: float):
        self.bytes_a_second, self.next, self.lock = bytes_a_second, 0.0, threading.Lock()

    def wait(self, count: int) -> None:
        if self.bytes_a_second:
            with self.lock:
                self.next = max(self.next, time.monotonic()) + count / self.bytes_a_second
                until = self.next
            time.sleep(max(0.0, until - time.monotonic()))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One segment for the headers and the small answers.
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    mirror: Mirror
    rate: Rate

    def do_GET(self) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        match path.strip("/").split("/"):
            case ["files", name] if name in self.mirror.files:
                self.send_file(self.mirror.files[name])
            case ["files", name] if name.removesuffix(".metadata") in self.mirror.metadata:
                content = self.mirror.metadata[name.removesuffix(".metadata")]
                self.send_bytes(content, "text/plain", FILE_IS_FRESH)
            case ["simple", name] if name in self.mirror.packages:
                self.send_page(name)
            case ["git", *_]:
                self.run_git(path)
            case _:
                self.send_error(404)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        if self.path.startswith("/git/"):
            self.run_git(urllib.parse.urlsplit(self.path).path)
        else:
            self.send_error(404)

    def send_page(self, name: str) -> None:
        files = self.mirror.packages[name]
        if JSON_INDEX in self.headers.get("Accept", ""):
            page = {"meta": {"api-version": "1.1"}, "name": name, "files": files, "versions": []}
            self.send_bytes(json.dumps(page).encode(), JSON_INDEX, PAGE_IS_FRESH)
            return
        lines = []
        for file in files:
            link = html.escape(f"{file['url']}#sha256={file['hashes']['sha256']}")
            metadata = file.get("core-metadata", {}).get("sha256")
            attribute = f' data-core-metadata="sha256={metadata}"' if metadata else ""
            lines.append(f'<a href="{link}"{attribute}>{html.escape(file["filename"])}</a><br>')
        self.send_bytes("\n".join(["<!DOCTYPE html>", *lines, ""]).encode(), "text/html", PAGE_IS_FRESH)

    def send_bytes(self, content: bytes, kind: str, freshness: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", freshness)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_file(self, path: Path) -> None:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            etag = f'"{stat.st_size:x}-{stat.st_mtime_ns:x}"'
            first, last = self.wanted(stat.st_size, etag)
            if first > last:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{stat.st_size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200 if last - first + 1 == stat.st_size else 206)
            if last - first + 1 < stat.st_size:
                self.send_header("Content-Range", f"bytes {first}-{last}/{stat.st_size}")
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(last - first + 1))
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Cache-Control", FILE_IS_FRESH)
            self.send_header("ETag", etag)
            self.end_headers()
            self.wfile.flush()
            while self.command != "HEAD" and first <= last:
                sent = os.sendfile(self.connection.fileno(), file.fileno(), first, min(last - first + 1, 1 << 20))
                self.rate.wait(sent)
                first += sent

    def wanted(self, size: int, etag: str) -> tuple[int, int]:
        """First and last byte that are asked for; of a range that cannot be had, the first is behind the last."""
        span = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if not span or self.headers.get("If-Range", etag) != etag or span[0] == "bytes=-":
            return 0, size - 1
        if not span[1]:
            return max(0, size - int(span[2])), size - 1
        return int(span[1]), min(int(span[2] or size), size - 1)

    def run_git(self, path: str) -> None:
        question = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        environment = os.environ | {
            "GIT_PROJECT_ROOT": str(self.mirror.directory / "repositories"),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path.removeprefix("/git"),
            "QUERY_STRING": urllib.parse.urlsplit(self.path).query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(question)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            # As the big hosts do: any commit may be asked for by its number.
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "uploadpack.allowAnySHA1InWant",
            "GIT_CONFIG_VALUE_0": "true",
            "GIT_CONFIG_KEY_1": "safe.directory",
            "GIT_CONFIG_VALUE_1": "*",
        }
        with subprocess.Popen(
            ["git", "http-backend"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        ) as backend:
            # In a thread: a long question and a long answer would wait for each other.
            threading.Thread(target=lambda: (backend.stdin.write(question), backend.stdin.close())).start()
            headers, status = [], 200
            while line := backend.stdout.readline().strip():
                name, value = line.decode().split(": ", 1)
                if name == "Status":
                    status = int(value.split()[0])
                else:
                    headers.append((name, value))
            self.send_response(status)
            for header in headers:
                self.send_header(*header)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while chunk := backend.stdout.read1(1 << 16):
                self.rate.wait(len(chunk))
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description="serves a mirror on loopback")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0, help="MB/s of all bodies together; 0 is no limit")
    args = parser.parse_args()
    Handler.mirror, Handler.rate = Mirror(args.directory.resolve()), Rate(args.rate * 1e6)
    ThreadingHTTPServer.request_queue_size = 256
    server = ThreadingHTTPServer(("127.0.0.1", args.port), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
