"""``python warm.py``: a process that has imported everything and forks one for each command it is told.

So kills fall into a command's work and not into its imports, and a hundred commands take minutes. Each line
of the input is a JSON object; two lines answer it, when the command's process has begun and when it has
ended: its number, and its exit code.

    folder     where the command runs
    arguments  those of ``ablate``
    log        a file for what it prints
    points     a file that gets a line for each write point that it passes
    kill_at    the number of the write point at which it kills itself with SIGKILL, before it writes
    kill_kind  then it does so at the first write point of this kind from that number on
    file_size  bytes that no file may exceed, as with a quota
    environment  variables that it finds set
    patience   seconds for which MLflow is waited for, instead of minutes
"""

from __future__ import annotations

import gc
import json
import os
import re
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
EVENTS = {"os.rename": 1, "os.link": 1, "os.mkdir": 0, "os.remove": 0, "os.rmdir": 0, "os.truncate": 0}
"""Python's audit events of calls that change files → which argument is the path."""


def import_everything() -> None:
    """What a command may import while it works, so that a process that is forked begins with it."""
    import diffusers  # noqa: F401
    import lpips  # noqa: F401
    import mlflow.server
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    import open_clip  # noqa: F401
    import optuna  # noqa: F401
    import transformers  # noqa: F401
    from diffusers import AutoencoderKL, UNet2DConditionModel  # noqa: F401
    from transformers import CLIPTextModel, CLIPTokenizer  # noqa: F401

    import ablate.audit.audit
    import ablate.cli
    import ablate.record.recorder
    import ablate.report.formats
    import ablate.runner.auditing
    import ablate.runner.run
    import ablate.stages.evaluate
    import ablate.stages.sample
    import ablate.stages.train  # noqa: F401


def serve() -> None:
    gc.disable()
    import_everything()
    gc.freeze()  # no process that is forked looks for garbage in what was imported
    gc.enable()
    assert threading.active_count() == 1, "a process with threads must not be forked"
    print("ready", flush=True)
    running: dict[int, None] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if request.get("wait"):
            _, status = os.waitpid(request["wait"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        process = os.fork()
        if not process:
            _run(request)
        running[process] = None
        print(process, flush=True)


def _run(request: dict[str, Any]) -> None:
    from here import Here

    import ablate.patience
    import ablate.runner.auditing
    import ablate.runner.executors
    import ablate.runner.run
    import ablate.runner.verify
    from ablate.__main__ import main

    os.environ.update(request.get("environment", {}))
    os.setsid()
    os.chdir(request["folder"])
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdin.close()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # tests that run in the background of a shell ignore it
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{request['folder']}/mlflow.db"
    ablate.runner.auditing.LocalExecutor = ablate.runner.verify.LocalExecutor = Here  # type: ignore[misc, assignment]
    ablate.runner.executors.EXECUTORS["local"] = lambda address: Here.of
    sys.argv = ["ablate", *request["arguments"]]
    ablate.patience.PATIENCE = request.get("patience", ablate.patience.PATIENCE)
    if "file_size" in request:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing fails instead
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_size"], request["file_size"]))
    if "points" in request:
        with Path(request["points"]).open("w") as points:
            _count_points(Path(request["folder"]), points, request.get("kill_at"), request.get("kill_kind"))
            _end(main)
    _end(main)


def _end(main: Any) -> None:
    code = 1
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _count_points(folder: Path, points: TextIO, kill_at: int | None, kill_kind: str | None) -> None:
    """Writes a line for each point at which something below ``folder`` is about to change."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    count, lock = 0, threading.RLock()

    def pass_point(what: str) -> None:
        nonlocal count
        with lock:
            count += 1
            points.write(f"{what}\n")
            points.flush()
            if kill_at and count >= kill_at and kill_kind in (None, what):
                os.kill(os.getpid(), signal.SIGKILL)

    def on_audit(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
            path = arguments[0]
        elif name in EVENTS:
            path = arguments[EVENTS[name]]
        else:
            return
        if isinstance(path, str | os.PathLike):
            place = Path(path).absolute()
            if place.is_relative_to(folder) and place.suffix != ".txt":
                pass_point(f"{name} {_kind(place.relative_to(folder).as_posix())}")

    sys.addaudithook(on_audit)
    event.listen(Engine, "commit", lambda connection: pass_point(f"commit {connection.engine.url.database}"))


def _kind(path: str) -> str:
    """A path without what differs from run to run."""
    return re.sub(r"\d+", "#", re.sub(r"[0-9a-f]{8,}", "*", path))


if __name__ == "__main__":
    serve()
