"""What only a machine with an NVIDIA GPU can try: dpgui with the real driver, real CUDA errors and DeepSpeed on the GPU.

    python3 tests/gpu/run.py DPGUI FOLDER

No CI has such a machine; this is for a hand before a release, and takes three minutes. DPGUI is the program, FOLDER is
made. The Python that runs this has torch for CUDA, what `templates/demo/requirements.txt` names, and better CuPy too.
Whatever fails is named, the others go on, and the exit code is 1.
"""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
import traceback
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
GIB = 1 << 30
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def until(what, look, patience=90):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError(f"after {patience} s still not: {what}")


class Lab:
    """A workspace of the demo whose environment is the Python that runs this."""

    def __init__(self, dpgui, folder):
        self.dpgui, self.folder, self.workspace = dpgui, folder, folder / "w"
        home = folder / "home"
        home.mkdir(parents=True)
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "DPGUI_"))}
        self.env["HOME"] = str(home)
        self.write("dpgui.toml", '[trainer]\nscript = "trainer/train.py"\n[runs]\nstall-after = "20 s"\n')
        self.write("trainer/train.py", (HERE.parents[1] / "templates/demo/train.py").read_text())
        self.environment()
        self.pictures()
        self.ask("config", "new", "demo", "--data", "data")
        self.change("demo", "long", {"pipeline_stages": 1, "epochs": 100_000, "checkpoint_every_n_epochs": 100_000,
                                     "save_every_n_epochs": 100_000})
        self.change("demo", "short", {"pipeline_stages": 1, "epochs": 4, "checkpoint_every_n_epochs": 2})

    def write(self, name, text):
        path = self.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def environment(self):
        venv = self.workspace / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
        site = next(venv.glob("lib/python3*/site-packages"))
        own = [sysconfig.get_path("purelib"), *os.environ.get("PYTHONPATH", "").split(":")]
        (site / "of-the-caller.pth").write_text("".join(f"{path}\n" for path in own if path))
        launcher = self.write("venv/bin/deepspeed", f"#!{venv}/bin/python\nfrom deepspeed.launcher.runner import main\n\nmain()\n")
        launcher.chmod(0o755)

    def pictures(self):
        from PIL import Image

        for number in range(32):
            color = (number * 8, 255 - number * 8, 128)
            self.write(f"data/{number}.txt", f"a picture of colour {number}")
            Image.new("RGB", (16, 16), color).save(self.workspace / f"data/{number}.png")

    def change(self, config, name, values):
        text = self.workspace.joinpath(f"configs/{config}.toml").read_text()
        self.write(f"configs/{name}.toml", text)
        for key, value in values.items():
            self.ask("config", "set", f"configs/{name}.toml", key, str(value))

    def run(self, *args, env=None):
        command = [self.dpgui, "-C", self.workspace, *map(str, args)]
        return subprocess.run(command, env=self.env | (env or {}), cwd=self.workspace, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL)

    def ask(self, *args, env=None):
        """What it says, one JSON object a line; it has to succeed."""
        said = self.run("--json", *args, env=env)
        assert said.returncode == 0, f"dpgui {' '.join(map(str, args))}: {said.returncode}\n{said.stdout}{said.stderr}"
        return [json.loads(line) for line in said.stdout.splitlines()]

    def refused(self, code, *args):
        said = self.run(*args)
        assert said.returncode == code, f"dpgui {' '.join(map(str, args))}: {said.returncode}, not {code}\n{said.stderr}"
        return said.stderr.strip()

    def start(self, config="long", *args, env=None):
        events = self.ask("train", "--detach", f"configs/{config}.toml", *args, env=env)
        return event(events, "run-started")["run"]

    def state(self, run):
        return json.loads(self.workspace.joinpath("runs", run, "state.json").read_text())

    def step(self, run):
        return (self.state(run).get("last_step") or {}).get("step", 0)

    def trains(self, run, steps=20):
        until(f"{run} has done {steps} steps", lambda: self.step(run) >= steps or self.is_over(run))
        assert self.step(run) >= steps, self.run("logs", run, "-n", "40").stdout

    def is_over(self, run):
        return "ended" in str(self.state(run)["state"])

    def outcome(self, run):
        until(f"{run} has ended", lambda: self.is_over(run))
        return self.state(run)["state"]["ended"]

    def supervisor(self, run):
        """Its process, found by its open lock."""
        lock = str(self.workspace / "runs" / run / "supervisor.lock")
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if any(os.readlink(one) == lock for one in entry.joinpath("fd").iterdir()):
                    if b"supervise" in entry.joinpath("cmdline").read_bytes():
                        return int(entry.name)
            except OSError:
                continue
        raise AssertionError(f"{run} has no supervisor")


def event(events, name):
    return next(it for it in events if it.get("event") == name)


def smi(query):
    said = subprocess.run(["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits"], capture_output=True, text=True, check=True)
    return [line.split(", ") for line in said.stdout.splitlines()]


class Holder:
    """A program of somebody else's that has so much of a GPU's memory, or all but so much."""

    PROGRAM = """
import sys, time, torch
wanted, left = int(sys.argv[1]), int(sys.argv[2])
torch.zeros(1, device="cuda")
size = wanted or torch.cuda.mem_get_info()[0] - left
held = torch.empty(size, dtype=torch.uint8, device="cuda")
print("holds", size, flush=True)
time.sleep(600)
"""

    def __init__(self, size=0, left=0):
        self.child = subprocess.Popen([sys.executable, "-c", self.PROGRAM, str(size), str(left)], stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        assert self.child.stdout.readline().startswith("holds"), "it could not take the memory"
        return self.child

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()


@check
def every_source_tells_the_same_of_the_driver_and_its_gpus(lab):
    told = {}
    for source in ["nvml", "nvidia-smi", "proc"]:
        checks = lab.run("--json", "doctor", env={"DPGUI_GPU_SOURCE": source}).stdout.splitlines()
        found = [it for it in map(json.loads, checks) if it.get("id") in ("gpu-driver", "torch-gpus", "gpu")]
        told[source] = {it["id"]: it["found"] for it in found}
    for name, driver, memory in smi("name,driver_version,memory.total"):
        for source in ["nvml", "nvidia-smi"]:
            text = " ".join(told[source].values())
            assert name in text and driver in text, (source, told)
        assert driver in " ".join(told["proc"].values()), told
    return told["nvml"]


@check
def the_torch_build_is_chosen_by_the_driver(lab):
    empty = lab.folder / "empty"
    empty.mkdir()
    said = subprocess.run([lab.dpgui, "-C", empty, "--json", "setup", "--plan"], env=lab.env, capture_output=True, text=True)
    chosen = event(map(json.loads, said.stdout.splitlines()), "torch-chosen")
    driver = int(smi("driver_version")[0][0].split(".")[0])
    # The oldest drivers of CUDA 13 and of CUDA 12.8: NVIDIA's release notes.
    expected = "cu13" if driver >= 580 else "cu12" if driver >= 525 else "cpu"
    assert chosen["profile"] == expected, chosen
    return chosen["because"]


@check
def a_training_computes_on_the_gpu_and_its_memory_is_free_after_a_stop(lab):
    before = int(smi("memory.used")[0][0])
    run = lab.start()
    lab.trains(run)
    status = until("NVML is asked", lambda: first_status(lab, run))
    gpu = status["gpus"][0]
    assert gpu["memory_used"] > 300 << 20 and gpu["power_w"] > 30 and gpu["temperature_c"] > 15, gpu
    text = lab.refused(5, "train", "--detach", "configs/short.toml")
    assert run in text, text
    stopped = lab.ask("stop", run)
    freed = event(stopped, "vram-freed")
    assert freed["bytes"] > 300 << 20, freed
    assert lab.outcome(run) == {"outcome": "stopped", "saved": True}, lab.outcome(run)
    after = int(smi("memory.used")[0][0])
    assert after <= before + 16, f"{before} MiB before, {after} MiB after"
    return {"in use": gpu, "freed": freed, "refused": text.splitlines()[0]}


def first_status(lab, run):
    child = subprocess.Popen([lab.dpgui, "-C", lab.workspace, "--json", "watch", run], env=lab.env, stdout=subprocess.PIPE, text=True)
    try:
        for line in child.stdout:
            status = json.loads(line)
            if status.get("gpus"):
                return status
    finally:
        child.kill()
        child.wait()
    return None


@check
def a_stopped_training_is_resumed_on_the_gpu_and_its_checkpoint_is_an_adapter(lab):
    first = lab.start("short")
    assert lab.outcome(first)["outcome"] == "completed", lab.outcome(first)
    lab.change("short", "longer", {"epochs": 8})
    second = event(lab.ask("train", "--detach", "configs/longer.toml", "--resume", first), "run-started")
    assert second["resumes_step"] > 0, second
    assert lab.outcome(second["run"])["outcome"] == "completed"
    exported = event(lab.ask("export", second["run"]), "exported")
    from safetensors import safe_open

    with safe_open(next(Path(v) for v in exported.values() if str(v).endswith(".safetensors")), "pt") as weights:
        assert len(list(weights.keys())) > 0
    return {"resumes at": second["resumes_step"], "exported": exported}


@check
def the_queue_starts_the_next_when_the_gpu_is_free(lab):
    first = lab.start()
    lab.trains(first, 5)
    second = event(lab.ask("train", "--queue", "configs/short.toml"), "run-queued")["run"]
    lab.ask("stop", first, "--now")
    stopped = time.monotonic()
    until("the next one has begun", lambda: not str(lab.state(second)["state"]).startswith("queued"))
    begun = time.monotonic() - stopped
    assert lab.outcome(second)["outcome"] == "completed", lab.outcome(second)
    return f"{begun:.2f} s after the stop"


@check
def a_supervisor_that_is_killed_leaves_the_training_and_its_gpu_alone(lab):
    run = lab.start()
    lab.trains(run)
    os.kill(lab.supervisor(run), signal.SIGKILL)
    step = lab.step(run)
    lab.refused(5, "train", "--detach", "configs/short.toml")
    until("it is looked after again", lambda: lab.step(run) > step)
    supervisor = lab.supervisor(run)
    stat = lambda: sum(map(int, Path(f"/proc/{supervisor}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
    time.sleep(3)
    begun, ticks, step = time.monotonic(), stat(), lab.step(run)
    time.sleep(10)
    seconds = time.monotonic() - begun
    share = (stat() - ticks) / os.sysconf("SC_CLK_TCK") / seconds
    smaps = Path(f"/proc/{supervisor}/smaps_rollup").read_text().splitlines()
    sizes = {line.split(":")[0]: line.split()[1] for line in smaps[1:] if line.split(":")[0] in ("Rss", "Pss", "Private_Dirty")}
    lab.ask("stop", run, "--now")
    return {"supervisor kB": sizes, "processor": f"{share:.2%}", "steps a second": (lab.step(run) - step) / seconds}


@check
def somebody_elses_program_on_the_gpu_is_named(lab):
    with Holder(size=2 * GIB) as holder:
        said = lab.run("train", "--detach", "configs/long.toml")
        run = said.stdout.strip()
        assert said.returncode == 0, said.stderr
        assert str(holder.pid) in said.stderr and "GPU 0" in said.stderr, said.stderr
        lab.ask("stop", run, "--now")
    return next(line for line in said.stderr.splitlines() if str(holder.pid) in line)


@check
def a_gpu_that_is_full_is_the_cause_that_is_told(lab):
    with Holder(left=420 << 20):
        run = lab.start()
        ended = lab.outcome(run)
    told = event(lab.ask("diagnose", run), "diagnosis")
    assert told["id"] in ("cuda_oom", "cuda_oom_foreign", "cublas_alloc"), (ended, told)
    return {"outcome": ended, "id": told["id"], "cause": told["cause"], "evidence": told["evidence"][:3]}


@check
def ranks_that_hang_beside_an_idle_gpu_are_noticed_and_stopped(lab):
    run = lab.start("long", "--on-stall", "stop")
    lab.trains(run)
    ranks = subprocess.run(["pgrep", "-f", f"{lab.workspace}/trainer/train.py"], capture_output=True, text=True).stdout.split()
    for pid in ranks:
        os.kill(int(pid), signal.SIGSTOP)
    begun = time.monotonic()
    ended = lab.outcome(run)
    assert int(smi("memory.used")[0][0]) < 1000, smi("memory.used")
    return {"outcome": ended, "seconds": round(time.monotonic() - begun)}


@check
def the_view_shows_the_gpu(lab):
    run = lab.start()
    lab.trains(run)
    shown = screen([lab.dpgui, "-C", lab.workspace, "watch", run], lab.env, lab.folder / "watch.raw", 8)
    lab.ask("stop", run, "--now")
    assert b"GPU 0" in shown and "°C".encode() in shown, shown[-2000:]
    return f"{len(shown)} bytes in 8 s"


def screen(command, env, path, seconds):
    """What a program writes to a terminal of 110 columns, kept at `path`."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], [str(it) for it in command], env | {"TERM": "xterm-256color", "COLUMNS": "110", "LINES": "40"})
    import fcntl
    import struct
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 110, 0, 0))
    threading.Timer(seconds, os.kill, (pid, signal.SIGTERM)).start()
    shown = b""
    try:
        while piece := os.read(terminal, 65536):
            shown += piece
    except OSError:  # how a terminal says that nobody is there any more
        pass
    os.waitpid(pid, 0)
    path.write_bytes(shown)
    return shown


@check
def the_page_is_told_of_the_gpu(lab):
    command = [lab.dpgui, "-C", lab.workspace, "--json", "ui", "--port", "0"]
    server = subprocess.Popen(command, env=lab.env, stdout=subprocess.PIPE, text=True)
    try:
        serving = event(map(json.loads, server.stdout), "serving")
        origin = next(str(it) for it in serving.values() if str(it).startswith("http")).split("#")[0].rstrip("/")
        token = lab.run("ui", "--token").stdout.split()[-1]
        time.sleep(4)
        answers = {}
        for path in ["machine", "samples"]:
            request = urllib.request.Request(f"{origin}/api/{path}", headers={"Authorization": f"Bearer {token}"})
            answers[path] = json.load(urllib.request.urlopen(request))
        gpus = answers["machine"]["gpus"]
        assert [it["name"] for it in gpus] == [it[0] for it in smi("name")], gpus
        sample = answers["samples"][-1]["gpus"][0]
        assert sample["memory_total"] > 4 * GIB, sample
        return {"machine": gpus, "sample": sample}
    finally:
        server.terminate()
        server.wait()


# What goes wrong with CUDA, in the words of the real thing, and what it is to be called.
ERRORS = {
    "cuda_oom": "torch.empty(1 << 45, dtype=torch.uint8, device='cuda')",
    "device_ordinal": "torch.zeros(1, device='cuda:63')",
    "device_assert": "torch.nn.functional.embedding(torch.tensor([9], device='cuda'), torch.zeros(3, 3, device='cuda')).sum().item()",
    "no_gpu": "os.environ['CUDA_VISIBLE_DEVICES'] = ''; torch.zeros(1).cuda()",
    "mixed_devices": "torch.ones(2, 2, device='cuda') @ torch.ones(2, 2)",
    "dtype_mismatch": "torch.ones(2, 2, device='cuda') @ torch.ones(2, 2, device='cuda', dtype=torch.float16)",
    "cuda_fork": """
import multiprocessing
torch.zeros(1, device='cuda')
child = multiprocessing.get_context('fork').Process(target=lambda: torch.zeros(1, device='cuda'))
child.start(); child.join(); sys.exit(child.exitcode)""",
    "illegal_memory_access": """
import cupy
kernel = cupy.RawKernel('extern "C" __global__ void f(long long p) { *(int*)p = 1; }', 'f')
kernel((1,), (1,), (4096,))
torch.zeros(1, device='cuda').add_(1).item()""",
    "nccl_duplicate_gpu": """
import torch.multiprocessing as spawn
os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT='29777')
if len(sys.argv) > 1:
    torch.distributed.init_process_group('nccl', rank=int(sys.argv[1]), world_size=2)
    torch.distributed.all_reduce(torch.ones(1, device='cuda:0'))
else:
    import subprocess
    both = [subprocess.Popen([sys.executable, __file__, str(rank)]) for rank in range(2)]
    sys.exit(max(it.wait() for it in both))""",
    "cublas_alloc": """
a = torch.ones(64, 64, device='cuda')
held = []
size = 1 << 34
while size >= 1 << 20:
    try:
        held.append(torch.empty(size, dtype=torch.uint8, device='cuda'))
    except torch.OutOfMemoryError:
        size //= 2
a @ a
torch.cuda.synchronize()""",
}


@check
def real_cuda_errors_are_called_by_their_names(lab):
    told = {}
    waiting = dict(ERRORS)
    # The last one takes all of the memory, so it is alone.
    alone = {"cublas_alloc": waiting.pop("cublas_alloc")}
    for group in (waiting, alone):
        children = {}
        for name, program in group.items():
            path = lab.folder / f"{name}.py"
            path.write_text(f"import os, sys\nimport torch\n{program}\n")
            with open(lab.folder / f"{name}.log", "wb") as log:
                children[name] = subprocess.Popen([sys.executable, "-u", path], stdout=log, stderr=log)
        for name, child in children.items():
            code = child.wait(timeout=120)
            said = lab.run("--json", "diagnose", lab.folder / f"{name}.log").stdout
            told[name] = json.loads(said)["id"] if code else "nothing: it went well"
    wrong = {name: id for name, id in told.items() if id != name}
    assert not wrong, wrong
    return list(told)


def main():
    dpgui, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    lab, failed = Lab(dpgui, folder), []
    wanted = sys.argv[3:]
    for function in CHECKS:
        name = function.__name__
        if wanted and name not in wanted:
            continue
        begun = time.monotonic()
        try:
            found = function(lab)
            print(f"ok    {name} ({time.monotonic() - begun:.1f} s): {json.dumps(found)}", flush=True)
        except Exception:
            failed.append(name)
            print(f"FAIL  {name} ({time.monotonic() - begun:.1f} s)\n{traceback.format_exc()}", flush=True)
            for run in sorted(lab.workspace.glob("runs/2*")):
                if not lab.is_over(run.name):
                    lab.run("stop", run.name, "--now")
    asked = [it for it in CHECKS if not wanted or it.__name__ in wanted]
    print(f"{len(asked) - len(failed)} of {len(asked)} hold" + "".join(f"\n  not: {it}" for it in failed))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
