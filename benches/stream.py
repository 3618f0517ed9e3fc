"""How fast what a training prints reaches those who look on, and what it costs the training: dpgui beside a server
that reads lines with asyncio and sends them to WebSockets. Started by stream.sh."""

import asyncio
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

LINES = 1_000_000
LINE = 100
# Enough for a rate: with eight followers all of them would take minutes.
RIVAL_LINES = 100_000
GIGABYTE = 10**9

CONFIG = """output_dir = 'output'
dataset = 'configs/tiny-dataset.toml'
epochs = 1
max_steps = 400
save_every_n_epochs = 1
[model]
type = 'demo'
dtype = 'float32'
[adapter]
type = 'lora'
rank = 4
[optimizer]
type = 'adamw'
"""


def child(kind, report):
    """What prints: KIND says what. Tells in REPORT when it began and ended, by the monotonic clock."""
    if kind.startswith("flood"):
        count = int(kind.removeprefix("flood"))
        # A write for each, as `print` does it.
        pieces = [b"%099d\n" % n for n in range(count)]
    elif kind == "bars":
        bar = b"".join(b"\r%3d%%|%-60s| %3d/100 [00:12<00:34, 1.23s/it]" % (n, b"#" * (n * 6 // 10), n) for n in range(100))
        pieces = [bar * 20] * (GIGABYTE // (len(bar) * 20))
    elif kind == "lines":
        pieces = [b"".join(b"%099d\n" % n for n in range(2000))] * (GIGABYTE // (2000 * LINE))
    else:
        pieces = []
    # Whoever looks on has had the time to come.
    Path(report + ".ready").touch()
    while not Path(report + ".go").exists():
        time.sleep(0.005)
    begin = time.monotonic()
    for piece in pieces:
        # A pipe that blocks takes all of it.
        os.write(1, piece)
    if kind.startswith("paced"):
        each = 1 / int(kind.removeprefix("paced"))
        due = time.monotonic()
        for number in range(int(15 / each)):
            due += each
            time.sleep(max(0, due - time.monotonic()))
            os.write(1, b"%-99d\n" % time.monotonic_ns())
    Path(report).write_text(json.dumps([begin, time.monotonic()]))
    os.write(1, b"TRAINING COMPLETE!\n")


class Reader(threading.Thread):
    """Counts the lines that come from a file descriptor, and when the last one did."""

    def __init__(self, stream, latencies=None):
        super().__init__(daemon=True)
        self.stream, self.latencies = stream, latencies
        self.lines, self.bytes, self.last = 0, 0, 0.0

    def run(self):
        while piece := os.read(self.stream, 1 << 20):
            self.last = time.monotonic()
            self.lines += piece.count(b"\n")
            self.bytes += len(piece)
            if self.latencies is not None:
                now = time.monotonic_ns()
                self.latencies += [(now - int(stamp)) / 1e6 for stamp in re.findall(rb"(\d{10,})", piece)]


def workspace(root):
    for name, text in {
        "configs/tiny.toml": CONFIG,
        "configs/tiny-dataset.toml": "resolutions = [16]\n[[directory]]\npath = 'data'\n",
        "dpgui.toml": "[logs]\nkeep = '4 GB'\n",
        "data/a.png": "",
        "data/a.txt": "a",
        "vendor/diffusion-pipe/train.py": "",
        "venv/bin/python": "",
        "venv/bin/deepspeed": f"#!/bin/sh\nexec {sys.executable} {Path(__file__).resolve()} child $BENCH_KIND $BENCH_REPORT\n",
    }.items():
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)


def cpu(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status(pid, name):
    return int(re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


class Run:
    """A training under dpgui whose child prints KIND."""

    def __init__(self, dpgui, root, kind):
        self.dpgui, self.root = dpgui, root
        self.report = str(Path(root, f"report-{time.monotonic_ns()}"))
        self.env = dict(os.environ, BENCH_KIND=kind, BENCH_REPORT=self.report, DPGUI_GPU_SOURCE="none")
        said = self.call("train", "configs/tiny.toml", "--detach")
        self.id = said.strip()
        folder = Path(root, "runs", self.id)
        self.supervisor = json.loads((folder / "state.json").read_text())["session"]["pid"]

    def call(self, *args):
        return subprocess.run([self.dpgui, *args], cwd=self.root, env=self.env, check=True, stdout=-1, stderr=-1, text=True).stdout

    def follow(self, *args, **how):
        out, into = os.pipe()
        process = subprocess.Popen(
            [self.dpgui, "logs", self.id, "-f", *args], cwd=self.root, env=self.env, stdout=into, stderr=subprocess.DEVNULL
        )
        os.close(into)
        reader = Reader(out, **how)
        return reader, process

    def go(self):
        wait(self.report + ".ready")
        time.sleep(0.5)
        Path(self.report + ".go").touch()

    def times(self):
        wait(self.report)
        return json.loads(Path(self.report).read_text())


class Page(threading.Thread):
    """A page that follows a log through `dpgui ui`: counts lines, and that each frame begins where the last one ended."""

    def __init__(self, client, latencies=None):
        super().__init__(daemon=True)
        self.client, self.latencies = client, latencies
        self.lines, self.last, self.next, self.torn = 0, 0.0, 0, 0

    def run(self):
        buffer = bytearray()
        while piece := self.client.recv(1 << 20):
            self.last = time.monotonic()
            buffer += piece
            at = 0
            while (end := self.frame(buffer, at)) is not None:
                at = end
            del buffer[:at]

    def frame(self, buffer, at):
        if len(buffer) < at + 2:
            return None
        kind, length, body = buffer[at] & 15, buffer[at + 1], at + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            if len(buffer) < body + size:
                return None
            length, body = int.from_bytes(buffer[body : body + size], "big"), body + size
        if len(buffer) < body + length:
            return None
        if kind == 2:
            offset = int.from_bytes(buffer[body : body + 8], "little")
            self.torn += offset != self.next
            self.next = offset + length - 8
            text = bytes(buffer[body + 8 : body + length])
            self.lines += text.count(b"\n")
            if self.latencies is not None:
                now = time.monotonic_ns()
                self.latencies += [(now - int(stamp)) / 1e6 for stamp in re.findall(rb"(\d{10,})", text)]
        return body + length

    def wait(self):
        self.join()

    def kill(self):
        self.client.close()


class Server:
    """`dpgui ui` of the workspace."""

    def __init__(self, dpgui, root):
        env = dict(os.environ, DPGUI_GPU_SOURCE="none")
        command = [dpgui, "-C", root, "--json", "ui", "--port", "0"]
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        events = (json.loads(line) for line in self.process.stdout)
        self.port = next(event["port"] for event in events if event["event"] == "serving")
        self.token = subprocess.run([dpgui, "-C", root, "ui", "--token"], env=env, check=True, stdout=-1, text=True).stdout.strip()

    def follow(self, run, **how):
        head = f"Authorization: Bearer {self.token}\r\n"
        page = Page(connect(self.port, f"/api/runs/{run.id}/log?from=0", f"localhost:{self.port}", head), **how)
        return page, page

    def end(self):
        self.process.kill()
        self.process.wait()


def wait(path):
    while not Path(path).exists():
        time.sleep(0.02)
    time.sleep(0.05)


def flood(dpgui, root, followers, stalled=0, server=None):
    """Lines a second to the last follower's end, seconds that the child took, lines lost."""
    run = Run(dpgui, root, f"flood{LINES}")
    wait(run.report + ".ready")
    follow = (lambda: server.follow(run)) if server else run.follow
    readers = [follow() for _ in range(followers)]
    asleep = [follow() for _ in range(stalled)]
    for reader, _ in readers:
        reader.start()
    run.go()
    begin, end = run.times()
    for reader, process in readers:
        process.wait()
        reader.join()
    for _, process in asleep:
        process.kill()
    run.call("runs")
    last = max([reader.last for reader, _ in readers], default=end)
    lost = sum(LINES + 1 - reader.lines for reader, _ in readers)
    assert not any(getattr(reader, "torn", 0) for reader, _ in readers), "a frame begins elsewhere than the last one ended"
    return LINES / (last - begin), end - begin, lost


def piped(sink):
    """The child into a program that only takes what comes: seconds that it takes."""
    with tempfile.TemporaryDirectory() as folder:
        report = str(Path(folder, "report"))
        Path(report + ".go").touch()
        with open(sink, "wb") as target:
            printing = subprocess.Popen([sys.executable, __file__, "child", f"flood{LINES}", report], stdout=subprocess.PIPE)
            taking = subprocess.Popen(["cat"], stdin=printing.stdout, stdout=target)
            printing.stdout.close()
            printing.wait()
            taking.wait()
        begin, end = json.loads(Path(report).read_text())
        return end - begin


def rival(followers):
    """The same through asyncio's `readline` and a WebSocket for each follower."""
    with tempfile.TemporaryDirectory() as folder:
        report = str(Path(folder, "report"))
        port = socket.create_server(("127.0.0.1", 0))
        number = port.getsockname()[1]
        port.close()
        server = subprocess.Popen([sys.executable, __file__, "serve", str(number), str(followers), report])
        readers = []
        for _ in range(followers):
            client = connect(number)
            reader = Reader(client.detach())
            reader.start()
            readers.append(reader)
        wait(report + ".ready")
        time.sleep(0.5)
        Path(report + ".go").touch()
        server.wait()
        for reader in readers:
            reader.join()
        begin, end = json.loads(Path(report).read_text())
        last = max(reader.last for reader in readers)
        return RIVAL_LINES / (last - begin), end - begin, sum(RIVAL_LINES + 1 - reader.lines for reader in readers)


def connect(port, path="/", host="localhost", more=""):
    while True:
        try:
            client = socket.create_connection(("127.0.0.1", port))
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    client.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.recv(1)
    return client


async def serve(port, followers, report):
    import websockets

    sockets, all_here, done = [], asyncio.Event(), asyncio.Event()

    async def join(socket):
        sockets.append(socket)
        if len(sockets) == followers:
            all_here.set()
        await done.wait()

    async with websockets.serve(join, "127.0.0.1", port, compression=None, ping_interval=None):
        await all_here.wait()
        printing = await asyncio.create_subprocess_exec(
            sys.executable, __file__, "child", f"flood{RIVAL_LINES}", report, stdout=asyncio.subprocess.PIPE
        )
        while line := await printing.stdout.readline():
            text = line.decode(errors="replace")
            for each in sockets:
                await each.send(text)
        await printing.wait()
        done.set()


def paced(dpgui, root, followers, server=None):
    """Milliseconds from a write to its reader at 1,000 lines a second: the median and the 99th percentile."""
    run = Run(dpgui, root, "paced1000")
    wait(run.report + ".ready")
    latencies = []
    follow = (lambda **how: server.follow(run, **how)) if server else run.follow
    readers = [follow(latencies=latencies) for _ in range(followers)]
    for reader, _ in readers:
        reader.start()
    run.go()
    run.times()
    for reader, process in readers:
        process.wait()
        reader.join()
    latencies.sort()
    return latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]


def idle(dpgui, root):
    """The supervisor at 10 lines a second: percent of a processor, peak memory in MB, wake-ups a second."""
    run = Run(dpgui, root, "paced10")
    run.go()
    time.sleep(1)
    pid = run.supervisor
    before, switches = cpu(pid), status(pid, "voluntary_ctxt_switches")
    time.sleep(12)
    used, woken = cpu(pid) - before, status(pid, "voluntary_ctxt_switches") - switches
    memory = status(pid, "VmHWM") / 1024
    run.times()
    return used / 12 * 100, memory, woken / 12


def bars(dpgui, root):
    """MB a second of progress bars to a follower's end."""
    run = Run(dpgui, root, "bars")
    wait(run.report + ".ready")
    reader, process = run.follow()
    reader.start()
    run.go()
    begin, _ = run.times()
    process.wait()
    reader.join()
    return GIGABYTE / 1e6 / (reader.last - begin)


def last_lines(dpgui, root):
    """Milliseconds for the last 100 lines of a log of 1 GB, the median of 20."""
    run = Run(dpgui, root, "lines")
    run.go()
    run.times()
    while not json.loads(run.call("runs", "--json").splitlines()[0])["ended"]:
        time.sleep(0.2)
    taken = []
    for _ in range(20):
        since = time.monotonic()
        assert run.call("logs", run.id, "-n", "100").count("\n") == 100
        taken.append((time.monotonic() - since) * 1000)
    return statistics.median(taken)


def main(dpgui, root):
    workspace(root)
    best = lambda measure, rounds=3: max((measure() for _ in range(rounds)), key=lambda it: it[0])
    free = min(piped("/dev/null") for _ in range(5))
    stored = min(piped(Path(root, "stored")) for _ in range(5))
    print(f"1,000,000 lines of 100 bytes; alone the child takes {free:.2f} s into `cat > /dev/null`, {stored:.2f} s into `cat > file`")
    for followers, stalled in [(0, 0), (1, 0), (8, 0), (1, 1)]:
        rate, took, lost = best(lambda: flood(dpgui, root, followers, stalled))
        what = f"{followers} followers" + (f", {stalled} stalled" if stalled else "")
        print(f"dpgui, {what}: {rate / 1000:.0f} k lines/s, child {took:.2f} s ({took / stored:.2f}x), lost {lost}", flush=True)
    server = Server(dpgui, root)
    for pages, stalled in [(1, 0), (8, 0), (1, 1)]:
        rate, took, lost = best(lambda: flood(dpgui, root, pages, stalled, server))
        what = f"{pages} pages" + (f", {stalled} stalled" if stalled else "")
        print(f"dpgui ui, {what}: {rate / 1000:.0f} k lines/s, child {took:.2f} s ({took / stored:.2f}x), lost {lost}", flush=True)
    for pages in (1, 8):
        before, since = cpu(server.process.pid), time.monotonic()
        p50, p99 = paced(dpgui, root, pages, server)
        used = (cpu(server.process.pid) - before) / (time.monotonic() - since) * 100
        print(f"1,000 lines/s, {pages} pages: p50 {p50:.2f} ms, p99 {p99:.2f} ms, the server {used:.1f} % of a processor", flush=True)
    print(f"the server has {status(server.process.pid, 'VmRSS') / 1024:.1f} MB, {status(server.process.pid, 'RssAnon') / 1024:.1f} MB of its own", flush=True)
    server.end()
    for followers in (1, 8):
        rate, took, lost = rival(followers)
        print(f"asyncio, {followers} followers: {rate / 1000:.1f} k lines/s, child {took:.2f} s for {RIVAL_LINES} lines, lost {lost}", flush=True)
    for followers in (1, 8):
        print("1,000 lines/s, {} followers: p50 {:.2f} ms, p99 {:.2f} ms".format(followers, *paced(dpgui, root, followers)), flush=True)
    print("10 lines/s: {:.2f} % of a processor, {:.1f} MB, {:.1f} wake-ups/s".format(*idle(dpgui, root)), flush=True)
    print(f"1 GB of progress bars: {bars(dpgui, root):.0f} MB/s", flush=True)
    print(f"the last 100 lines of 1 GB: {last_lines(dpgui, root):.1f} ms", flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["child", kind, report]:
            child(kind, report)
        case ["serve", port, followers, report]:
            asyncio.run(serve(int(port), int(followers), report))
        case [dpgui, root]:
            main(dpgui, root)
