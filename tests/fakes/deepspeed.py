#!/usr/bin/env python3
"""Stands in for `deepspeed` with diffusion-pipe under it: the same tree of processes, lines, files and bad habits.

    runner (what is started) -> launcher -> one rank per device -> one worker each

What it does is chosen by environment variables, all optional:
    FAKE_STEPS=N       steps to train, 0 for ever; FAKE_STEP_TIME=SECONDS for each
    FAKE_END=HOW       complete; quiet (exit 0 without a word); N (exit code); killed (rank 0 dies by SIGKILL);
                       orphaned (the launcher dies by SIGKILL)
    FAKE_IGNORE=NAMES  signals that ranks and workers ignore: INT,TERM
    FAKE_SAVE=no       do not look for `save_quit`
    FAKE_DAEMON=yes    rank 0 leaves a process behind in a session of its own, its output closed
    FAKE_PRINT=WHAT    before the first step: flood (FAKE_BYTES of numbered lines), bars (carriage returns), garbage
    FAKE_SAY=FILE      what is in the file, before the first step
    FAKE_CACHE=SECONDS of caching before the first step; FAKE_CACHE=dies: the process that does it, unseen
    FAKE_AGAIN=HOW     as FAKE_END, for a training that is resumed
    FAKE_CHECKPOINT=N  a checkpoint every N steps
    FAKE_LAST=TEXT     what a training says that ends with an exit code
    FAKE_ANEW=yes      a training that is resumed begins anew, as the real one does in a folder that it does not find
    FAKE_NAN=N         from step N on the loss is not a number
    FAKE_EAT=MB        after the first step rank 0 takes so much memory
    FAKE_HANG=N        nothing happens any more after step N
    FAKE_CLAIM=FOLDER  a file there for each device while it is used; `clash` tells of two that used one at once
    FAKE_ALL=yes       every rank says at which step it is
    FAKE_LEDGER=FILE   all that rank 0 has printed, there as soon as it is written
    FAKE_GREET=yes     every rank says who it is, and the launcher that it has ended
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from datetime import datetime, timezone
from pathlib import Path


def knob(name, default=""):
    return os.environ.get(f"FAKE_{name}", default)


def say(text, end="\n"):
    # As `python -u` does it: the text and its end are two writes.
    for piece in filter(None, (text, end)):
        written(piece.encode() if isinstance(piece, str) else piece)


def written(piece):
    count = os.write(1, piece)
    if knob("LEDGER") and os.environ.get("RANK") == "0":
        ledger = os.open(knob("LEDGER"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(ledger, piece[:count])
        os.close(ledger)
    return count


def option(args, name):
    return args[args.index(name) + 1] if name in args else None


def runner(args):
    include, count = option(args, "--include"), option(args, "--num_gpus")
    if "--no_ssh" in args:
        devices = one_of_several(args)
    elif include:
        devices = include.removeprefix("localhost:").split(",")
    else:
        devices = [str(n) for n in range(int(count))]
    script = next(i for i, arg in enumerate(args) if arg.endswith("train.py"))
    os.environ["MASTER_PORT"] = option(args[:script], "--master_port")
    # With `--no_python`, what follows is a whole command, which runs the script below it.
    words = args[args.index("--no_local_rank") + 1:] if "--no_python" in args else args[script:]
    claimed = claim(devices)
    launcher = subprocess.Popen([sys.executable, "-u", __file__, "launcher", ",".join(devices), *words])
    code = launcher.wait()
    for file in claimed:
        file.unlink()
    # Only positive codes are passed on, as upstream does it.
    sys.exit(code if code > 0 else 0)


def one_of_several(args):
    lines = Path(option(args, "--hostfile")).read_text().splitlines()
    slots = [int(line.split("slots=")[1]) for line in lines]
    own = int(option(args, "--node_rank"))
    os.environ.update(FIRST=str(sum(slots[:own])), WORLD=str(sum(slots)), MASTER_ADDR=option(args, "--master_addr"))
    return [str(n) for n in range(slots[own])]


def claim(devices):
    if not knob("CLAIM"):
        return []
    files = [Path(knob("CLAIM"), device) for device in devices]
    for file in files:
        try:
            file.touch(exist_ok=False)
        except FileExistsError:
            Path(knob("CLAIM"), "clash").touch()
    return files


def launcher(devices, args):
    ranks = []

    def end(signum, _frame):
        for rank in ranks:
            rank.terminate()
            try:
                rank.wait(30)
            except subprocess.TimeoutExpired:
                rank.kill()
        sys.exit(1)

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    for number, _device in enumerate(devices):
        rank = int(os.environ.get("FIRST", "0")) + number
        world = os.environ.get("WORLD", str(len(devices)))
        env = dict(os.environ, RANK=str(rank), LOCAL_RANK=str(number), WORLD_SIZE=world)
        command = args if "__rank" in args else [sys.executable, "-u", __file__, "rank", *args]
        ranks.append(subprocess.Popen(command, env=env))
    alive = list(ranks)
    while alive:
        for rank in list(alive):
            code = rank.poll()
            if code is None:
                continue
            alive.remove(rank)
            if code == 0 and knob("LAUNCHER_SAYS"):
                say(f"[INFO] [launch.py:367:main] Process {rank.pid} exits successfully.")
            if code != 0:
                for other in ranks:
                    say(f"[INFO] [launch.py:335:sigkill_handler] Killing subprocess {other.pid}")
                    other.terminate()
                    try:
                        other.wait(30)
                    except subprocess.TimeoutExpired:
                        other.kill()
                say(f"[ERROR] [launch.py:341:sigkill_handler] {args} exits with return code = {code}")
                sys.exit(code)
        time.sleep(0.02)
    if knob("GREET"):
        say("the launcher has ended")


def rank(args):
    number = int(os.environ["RANK"])
    for name in filter(None, knob("IGNORE").split(",")):
        signal.signal(getattr(signal, f"SIG{name}"), signal.SIG_IGN)
    worker = os.fork()
    if worker == 0:
        work()
    if knob("CACHE"):
        say("caching latents: /data")
        if knob("CACHE") == "dies" and number == 0 and os.fork() == 0:
            os._exit(1)
        time.sleep(1000 if knob("CACHE") == "dies" else float(knob("CACHE")))
    if knob("GREET"):
        say(" by ".join(filter(None, (f"I am rank {number}", os.environ.get("NCCL_SOCKET_IFNAME")))))
    if number == 0:
        show()
        if knob("DAEMON"):
            leave_behind()
    try:
        train(number, Path(option(args, "--config")), option(args, "--resume_from_checkpoint"))
    except KeyboardInterrupt:
        say("Traceback (most recent call last):\nKeyboardInterrupt")
        sys.exit(1)
    finally:
        os.kill(worker, signal.SIGKILL)


def work():
    # It outlives a rank that is killed, as workers that hold GPUs do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        time.sleep(1)


def leave_behind():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            null = os.open("/dev/null", os.O_RDWR)
            for stream in range(3):
                os.dup2(null, stream)
            while True:
                time.sleep(1)
        os._exit(0)


def show():
    if knob("PRINT") == "flood":
        line, count = 0, int(knob("BYTES"))
        while count > 0:
            piece = b"".join(b"%099d\n" % n for n in range(line, line + 500))
            line, count = line + 500, count - len(piece)
            while piece:
                piece = piece[written(piece):]
    if knob("PRINT") == "bars":
        for percent in range(101):
            say(f"\r{percent:3}%|{'#' * (percent // 10):10}| {percent}/100", end="")
        say("")
    if knob("PRINT") == "garbage":
        say(b"\xff\xfe broken \xc3( \x1b]0;title\x07\x00 end")
        say("x" * 200_000)
    if knob("SAY"):
        say(Path(knob("SAY")).read_bytes())


def train(number, config, resumed):
    output_dir = Path(re.search(r"output_dir = ['\"](.*?)['\"]", config.read_text())[1])
    folder = output_dir / (resumed or datetime.now(timezone.utc).strftime("%Y%m%d_%H-%M-%S"))
    step = 0
    if number == 0:
        folder.mkdir(parents=True, exist_ok=True)
        if resumed and not knob("ANEW"):
            step = int((folder / "latest").read_text().removeprefix("global_step"))
            say(f"Resuming training from checkpoint. Resuming at epoch: 1, step: {step + 1}")
        else:
            shutil.copy(config, folder)
    leave = output_dir / f"leave-{os.environ['MASTER_PORT']}"
    steps, seconds = int(knob("STEPS", "3")), float(knob("STEP_TIME", "0.01"))
    while steps == 0 or step < steps:
        step += 1
        time.sleep(seconds)
        if number != 0:
            if knob("ALL"):
                say(f"rank {number} is at step {step}")
            if leave.exists():
                sys.exit(0)
            continue
        loss = float("nan") if step >= int(knob("NAN", "1000000")) else 1 / step
        say(f"steps: {step} loss: {loss:0.4f} iter time (s): {seconds:0.3f} samples/sec: {1 / seconds:0.3f}")
        time.sleep(min(seconds / 4, 0.05))
        if step == 1 and knob("EAT"):
            eaten = b"x" * (int(knob("EAT")) << 20)
            say(f"took {len(eaten)} bytes")
        if step == int(knob("HANG", "-1")):
            time.sleep(1000)
        if step % int(knob("CHECKPOINT", "1000000")) == 0:
            checkpoint(folder, step)
        if knob("SAVE", "yes") == "yes" and (folder / "save").exists():
            (folder / "save").unlink()
            checkpoint(folder, step)
        if knob("SAVE", "yes") == "yes" and (folder / "save_quit").exists():
            (folder / "save_quit").unlink()
            checkpoint(folder, step)
            leave.touch()
            say("Manually quitting")
            sys.exit(0)
    while number != 0:
        # A real rank would wait for rank 0 in a barrier.
        time.sleep(0.02)
        if leave.exists():
            sys.exit(0)
    finish(folder, step, leave, knob("AGAIN") if resumed and knob("AGAIN") else knob("END", "complete"))


def checkpoint(folder, step):
    say(f"[Torch] Checkpoint global_step{step} is about to be saved!")
    (folder / f"global_step{step}").mkdir(exist_ok=True)
    # For the two stages of the lab's configuration.
    for name in ("layer_00-", "layer_01-", "mp_rank_00_", "mp_rank_01_"):
        with zipfile.ZipFile(folder / f"global_step{step}" / f"{name}model_states.pt", "w") as file:
            file.writestr("archive/data.pkl", "state")
    (folder / "latest").write_text(f"global_step{step}")


def finish(folder, step, leave, end):
    if end == "complete":
        checkpoint(folder, step)
        (folder / "epoch1").mkdir(exist_ok=True)
        head = json.dumps({"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
        weights = len(head).to_bytes(8, "little") + head + b"1234"
        (folder / "epoch1" / "adapter_model.safetensors").write_bytes(weights)
        (folder / "epoch1" / "adapter_config.json").write_text("{}")
        say("TRAINING COMPLETE!")
    if end == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == "orphaned":
        os.kill(os.getppid(), signal.SIGKILL)
        while True:
            time.sleep(1)
    leave.touch()
    if end.isdigit():
        say("Traceback (most recent call last):\n" + knob("LAST", "ValueError: nobody told me"))
        sys.exit(int(end))


if __name__ == "__main__":
    if sys.argv[1] == "launcher":
        launcher(sys.argv[2].split(","), sys.argv[3:])
    elif sys.argv[1] == "rank":
        rank(sys.argv[2:])
    else:
        runner(sys.argv[1:])
