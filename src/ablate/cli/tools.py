"""What ``ablate mcp`` offers: the documents that commands print with ``--json``, made by the same functions.

The only file that knows the protocol's SDK. What a tool returns has its type in ``documents``, so a client
gets the schema of it too. What computes is done by the command itself, in a process of its own: the server
stays small, and what the client cancels is interrupted as by Ctrl-C.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, create_subprocess_exec
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import wraps
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from anyio import CancelScope, to_thread
from mcp.server import MCPServer
from mcp.server.mcpserver import Context  # noqa: TC002 – the SDK reads the annotations
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from ablate.cli import looking, parts
from ablate.cli.options import open_store, plan_of
from ablate.documents import DOCUMENTS, checks, document_schema, experiments, house, runs
from ablate.errors import AblateError, of_the_machine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

INSTRUCTIONS = """\
ablate answers whether a training choice of a latent diffusion model helped, by how much, and how sure that
is. An experiment is a YAML file. Begin with `status`, which lists what is recorded, or with `plan` of a file.
Results are paired over seeds. Call a difference real only if its interval excludes zero; the verdicts in the
report say what is decided."""

Spec = Annotated[Path, Field(description="The experiment's YAML file.")]
Which = Annotated[str, Field(description=looking.WHICH)]
Profile = Annotated[str | None, Field(description="Profile to use instead of the spec's.")]
Sets = Annotated[list[str] | None, Field(description="Override fields in all variants: a.b.c=value.")]
Seeds = Annotated[str | None, Field(description="Seeds to use instead of the spec's: 0,1,2 or 0-5.")]
Workers = Annotated[int | None, Field(ge=1, description="Tasks at once.")]


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Tools:
    """The tools on the studies of one store and one record."""

    store: str
    tracking_uri: str | None
    reports: Path
    working: set[int] = field(default_factory=set)
    """Processes of commands that nobody has interrupted."""

    # ── these read ───────────────────────────────────────────────────────────────────────────────

    def plan(
        self,
        spec: Spec,
        profile: Profile = None,
        sets: Sets = None,
        seeds: Seeds = None,
        workers: Workers = None,
        price_per_hour: Annotated[
            float | None, Field(ge=0, le=1e9, description="What a GPU costs an hour, or without one a core.")
        ] = None,
    ) -> experiments.Plan:
        """What an experiment would run and why, the training that its variants share, and the cost."""
        from ablate.looking.planned import plan_as_data
        from ablate.plan import reasons
        from ablate.runner.forecast import forecast
        from ablate.runner.times import Times

        made = plan_of(spec, profile, sets, seeds, None, self.store)
        why = reasons(made)
        times = Times(made.store, made.experiment.name)
        expected = forecast(made, made.to_measure, times) if why else None
        return plan_as_data(made, why, expected, workers, price_per_hour)

    def status(self) -> house.Status:
        """What runs now and how far it is, which experiments are recorded, and what failed and why."""
        from ablate.keeping.status import status_of
        from ablate.record.addresses import tracking_address

        return status_of(open_store(self.store), tracking_address(self.tracking_uri)).as_json()

    def show(self, which: Which) -> runs.Shown:
        """Recorded runs in full: each one's settings, final figures, and folder of samples."""
        from ablate.api import find
        from ablate.looking.shown import as_data

        return as_data(find(which, self.tracking_uri, self.store))

    def read(self, which: Which) -> list[dict[str, Any]]:
        """Recorded runs as a table: variant, seed, the fields in which variants differ, final figures."""
        from ablate.api import read

        rows = read(which, tracking_uri=self.tracking_uri, store=self.store).to_dict("records")
        return [{str(name): _known(value) for name, value in row.items()} for row in rows]

    def compare(self, a: Which, b: Which) -> runs.Comparison:
        """A beside B: what differs in settings and versions, common training, and results: A − B, paired by
        seed, with 95 % intervals."""
        from ablate.api import find
        from ablate.looking.compare import compare
        from ablate.looking.shown import comparison_as_data

        both = (find(which, self.tracking_uri, self.store) for which in (a, b))
        return comparison_as_data(compare(*both))

    def next(
        self, spec: Spec, profile: Profile = None, sets: Sets = None, seeds: Seeds = None
    ) -> experiments.Next:
        """Which seeds would decide the claims that are still open, how likely that is, and what they cost."""
        from ablate.looking.next import coming_as_data

        return coming_as_data(
            looking.coming_of(spec, profile, sets, seeds, None, self.store, self.tracking_uri)
        )

    def report(self, which: Which) -> str:
        """The whole report of an experiment in markdown: verdicts on its claims, audit, results, costs."""
        from ablate.api import find
        from ablate.report.formats.markdown import render
        from ablate.report.sections import page

        chosen = find(which, self.tracking_uri, self.store)
        return render(page(chosen.results), chosen.record.name)

    def schema(
        self,
        json_of: Annotated[
            str | None,
            Field(description=f"Command whose --json document it describes: {', '.join(DOCUMENTS)}."),
        ] = None,
    ) -> dict[str, Any]:
        """The JSON schema of experiment files, with every field that can be varied; or of a document."""
        from ablate.experiment.schema import json_schema
        from ablate.vocabulary import OWN

        if json_of is None:
            return json_schema(OWN)
        return document_schema(json_of)

    def doctor(
        self, profile: Annotated[str, Field(description="Profile to check.")] = "sprites", sets: Sets = None
    ) -> list[checks.Answer]:
        """Whether a profile can run on this machine: parts, devices, libraries, disk, MLflow."""
        found = parts.answers_of(profile, sets, self.store, self.tracking_uri)
        return [answer.as_json() for answer in found]

    # ── these compute ────────────────────────────────────────────────────────────────────────────

    async def audit(
        self, spec: Spec, profile: Profile = None, sets: Sets = None, seeds: Seeds = None
    ) -> list[experiments.Finding]:
        """Check with a few real training steps that what each variant changes has an effect. Takes minutes.

        Act "inert" without "expected" means that something has no effect and should have one.
        """
        done = await self._command("audit", spec, profile, sets, seeds, "--json")
        if not done.out:
            raise ToolError(done.err)
        found: list[experiments.Finding] = json.loads(done.out)  # also where something is inert: exit code 2
        return found

    async def run(
        self,
        context: Context,
        spec: Spec,
        profile: Profile = None,
        sets: Sets = None,
        seeds: Seeds = None,
        workers: Workers = None,
    ) -> str:
        """Train, sample, measure and record whatever an experiment still lacks, and write its report.

        Takes minutes to days, and says how far it is. If it is cancelled, the same call
        goes on where it stopped.
        """
        from ablate.keeping.status import commands_of

        store, lines = open_store(self.store), 0

        async def tell(process: int, line: str) -> None:
            nonlocal lines
            lines += 1
            commands = await to_thread.run_sync(commands_of, store)
            account = next((c.account for c in commands if c.account.process == process), None)
            done = account.epochs_done + account.runs_done if account else 0
            total = account.epochs + account.runs if account else 0
            # By each line a little more: the protocol asks that progress grows.
            await context.report_progress(done + lines * 1e-6, total or None, line)

        options = [f"--reports={self.reports}", *([f"--workers={workers}"] if workers else [])]
        done = await self._command("run", spec, profile, sets, seeds, *options, tell=tell)
        if done.code:
            raise ToolError(done.out + done.err)
        return done.out

    async def _command(
        self,
        name: str,
        spec: Path,
        profile: str | None,
        sets: list[str] | None,
        seeds: str | None,
        *options: str,
        tell: Callable[[int, str], Awaitable[None]] | None = None,
    ) -> Done:
        """Gives a command; ``tell`` gets its process and each line that it prints."""
        words = [f"--store={self.store}", *(f"--set={text}" for text in sets or ()), *options]
        words += [f"--profile={profile}"] if profile else []
        words += [f"--seeds={seeds}"] if seeds else []
        command = [sys.executable, "-m", "ablate", name, *words, "--", str(spec)]
        environment = {**os.environ, "PYTHONUTF8": "1", "COLUMNS": "200"}
        if self.tracking_uri:
            environment["MLFLOW_TRACKING_URI"] = self.tracking_uri
        with tempfile.TemporaryFile() as errors:
            child = await create_subprocess_exec(
                *command, stdin=DEVNULL, stdout=PIPE, stderr=errors, env=environment, start_new_session=True
            )
            assert child.stdout
            self.working.add(child.pid)
            out = []
            try:
                async for line in child.stdout:
                    out.append(line.decode())
                    if tell:
                        await tell(child.pid, out[-1].rstrip())
                code = await child.wait()
            finally:
                if child.returncode is None:  # the client has cancelled the call, or is gone
                    self._interrupt(child.pid)
                    with CancelScope(shield=True):
                        await child.communicate()
                self.working.discard(child.pid)
            errors.seek(0)
            return Done(code, "".join(out), errors.read().decode())

    def interrupt(self) -> None:
        """Ends the commands at work as Ctrl-C does."""
        for process in tuple(self.working):
            self._interrupt(process)

    def _interrupt(self, process: int) -> None:
        if process in self.working:  # a second signal would end it at once
            self.working.remove(process)
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(process, signal.SIGINT)


def server(tools: Tools, *, allow_run: bool) -> MCPServer:
    """A server of these tools; of those that compute only if that is allowed."""
    found = MCPServer("ablate", instructions=INSTRUCTIONS, version=version("ablate"), log_level="WARNING")
    reading = (
        *(tools.plan, tools.status, tools.show, tools.read, tools.compare),
        *(tools.next, tools.report, tools.schema, tools.doctor),
    )
    for tool in reading:
        found.add_tool(_in_words(tool), annotations=ToolAnnotations(read_only_hint=True))
    for slow in (tools.audit, tools.run) if allow_run else ():
        # The same call again finds the work done.
        hints = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True)
        found.add_tool(_in_words_later(slow), annotations=hints)
    return found


def _in_words(tool: Callable[..., Any]) -> Callable[..., Any]:
    """The tool with errors that the client can read: what is wrong, where, and what to do."""

    @wraps(tool)
    def call(*arguments: Any, **named: Any) -> Any:
        with _telling():
            return tool(*arguments, **named)

    return call


def _in_words_later(tool: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The same for a tool that is awaited."""

    @wraps(tool)
    async def call(*arguments: Any, **named: Any) -> Any:
        with _telling():
            return await tool(*arguments, **named)

    return call


@contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except AblateError as error:
        raise ToolError(str(error)) from error
    except (OSError, MemoryError) as error:
        if not (failure := of_the_machine(error)):
            raise
        raise ToolError(str(failure)) from error


def _known(value: object) -> object:
    """A cell of a table as JSON knows it; what is not a finite number is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
