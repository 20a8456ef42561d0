"""``ablate mcp``, asked by the SDK's own client over the standard streams of a real process."""

from __future__ import annotations

import asyncio
import builtins
import errno
import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.server.mcpserver.exceptions import ToolError
from schemas import validate

from ablate.cli.tools import _in_words_later
from ablate.documents import document_schema

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from mcp_types import CallToolResult

    from tests.conftest import Ablate

READING = {"plan", "status", "show", "read", "compare", "next", "report", "schema", "doctor"}

SAME: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "plan": ({"spec": "tiny.yaml", "seeds": "0-2"}, ("plan", "tiny.yaml", "--seeds", "0-2")),
    "status": ({}, ("status",)),
    "show": ({"which": "tiny"}, ("show", "tiny")),
    "compare": ({"a": "tiny/late", "b": "tiny/plain"}, ("compare", "tiny/late", "tiny/plain")),
    "next": ({"spec": "tiny.yaml"}, ("next", "tiny.yaml")),
}
"""Tool → its arguments, and the command that prints the same."""

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "plan": ({"spec": "nowhere.yaml"}, "nowhere.yaml: there is no such file"),
    "show": ({"which": "nobody"}, "Name an experiment (ema), a variant"),
    "compare": ({"a": "tiny/late", "b": "tiny/never"}, "There are: plain, late."),
    "next": ({"spec": "tiny.yaml", "seeds": "one"}, "one"),
    "schema": ({"json_of": "run"}, "There are: plan, audit"),
    "doctor": ({"profile": "nothing"}, "nothing"),
}
"""Tool → arguments that are wrong, and words of the answer."""


@pytest.fixture
def environment() -> dict[str, str]:
    """Of this process: clients pass on next to nothing."""
    return dict(os.environ)


@pytest.fixture
def talk(
    command: Callable[..., list[str]], environment: dict[str, str]
) -> Callable[[list[str], Callable[[Client], Awaitable[Any]]], Any]:
    """What somebody finds who talks with ``ablate mcp``, started with arguments in another folder."""

    def start(arguments: list[str], ask: Callable[[Client], Awaitable[Any]]) -> Any:
        program, *words = command("mcp", *arguments)
        server = StdioServerParameters(command=program, args=words, cwd="/", env=environment)

        async def session() -> Any:
            async with Client(server) as client:
                return await ask(client)

        return asyncio.run(session())

    return start


def text_of(result: CallToolResult) -> str:
    return "\n".join(getattr(block, "text", "") for block in result.content)


def without_date(report: str) -> list[str]:
    return [line for line in report.splitlines() if " UTC" not in line]


def document_of(result: CallToolResult) -> Any:
    assert not result.is_error, text_of(result)
    assert result.structured_content is not None
    return result.structured_content.get("result", result.structured_content)


def files(folder: Path) -> Mapping[str, bytes]:
    """Of a study, what is not a cache."""
    kept = (path for path in folder.rglob("*") if path.is_file() and ".ablate" not in path.parts)
    return {str(path): path.read_bytes() for path in kept if not path.name.endswith(("-wal", "-shm"))}


def test_tools_give_what_the_commands_print_and_change_nothing(
    talk: Callable[..., Any], finished: Path, ablate: Ablate
) -> None:
    async def ask(client: Client) -> tuple[set[str], list[CallToolResult], dict[str, Any]]:
        tools = (await client.list_tools()).tools
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
        calls = (client.call_tool(name, arguments) for name, (arguments, _) in SAME.items())
        together = await asyncio.gather(*calls)
        others = {
            "read": document_of(await client.call_tool("read", {"which": "tiny"})),
            "report": document_of(await client.call_tool("report", {"which": "tiny"})),
            "schema": document_of(await client.call_tool("schema", {"json_of": "plan"})),
        }
        return {tool.name for tool in tools}, list(together), others

    before = files(finished)
    names, together, others = talk([str(finished), "--tracking-uri", f"sqlite:///{finished}/mlflow.db"], ask)
    assert files(finished) == before
    assert names == READING
    for (name, (_, words)), result in zip(SAME.items(), together, strict=True):
        document = document_of(result)
        validate(document, name)
        assert document == json.loads(ablate(*words, "--json", folder=finished).out), name
    assert [(row["variant"], row["seed"], row["ema.decay"]) for row in others["read"]] == [
        *(("plain", seed, None) for seed in (0, 1)),
        *(("late", seed, 0.9) for seed in (0, 1)),
    ]
    page = (finished / "reports" / "tiny.md").read_text(encoding="utf-8")
    assert without_date(others["report"]) == without_date(page)
    assert others["schema"] == document_schema("plan")


def test_errors_come_in_words(talk: Callable[..., Any], finished: Path) -> None:
    async def ask(client: Client) -> dict[str, CallToolResult]:
        return {name: await client.call_tool(name, arguments) for name, (arguments, _) in WRONG.items()}

    for name, result in talk([str(finished)], ask).items():
        assert result.is_error
        assert WRONG[name][1] in text_of(result)
        assert "Traceback" not in text_of(result)


def test_a_tool_that_is_awaited_has_errors_in_words_too() -> None:
    async def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "work")

    with pytest.raises(ToolError, match="work: the disk is full"):
        asyncio.run(_in_words_later(full)())


def test_a_run_gives_what_the_command_prints(talk: Callable[..., Any], finished: Path) -> None:
    reached: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        reached.append(progress)

    async def ask(client: Client) -> list[CallToolResult]:
        call, spec = client.call_tool, {"spec": "tiny.yaml"}
        return [
            await call("run", spec, progress_callback=note),
            await call("run", {**spec, "seeds": "none"}),
            await call("audit", {"spec": "--plugin=nowhere.py"}),
            await call("audit", {"spec": "tiny.yaml"}),
        ]

    done, wrong, no_option, audit = talk([str(finished), "--allow-run"], ask)
    assert "0 runs finished, 4 were already there" in text_of(done)
    assert reached and reached == sorted(set(reached)), "progress grows, as the protocol asks"
    assert wrong.is_error and "--seeds" in text_of(wrong)
    assert no_option.is_error and "--plugin=nowhere.py" in text_of(no_option)
    validate(document_of(audit), "audit")


@pytest.mark.faults
def test_a_run_that_is_cancelled_ends_as_after_ctrl_c(
    talk: Callable[..., Any], make_workplace: Callable[..., Path], tmp_path: Path
) -> None:
    epochs = 1000  # minutes: it cannot end by itself, however late what it says arrives
    long = {"train": {"epochs": epochs}, "track": {"preview_every": 0}}
    make_workplace(tmp_path, variants={"plain": long}, claims=None, seeds=[0])
    totals: set[float | None] = set()

    async def ask(client: Client) -> Any:
        with anyio.CancelScope() as call:

            async def until_it_trains(progress: float, total: float | None, message: str | None) -> None:
                totals.add(total)
                if message and "epochs; " in message:
                    call.cancel()

            asked = {"spec": "tiny.yaml", "workers": 1}
            await client.call_tool("run", asked, progress_callback=until_it_trains)
        assert call.cancelled_caught
        while commands := document_of(await client.call_tool("status", {}))["commands"]:
            assert commands[0]["state"] == "running", "nobody has to kill it"
        return document_of(await client.call_tool("plan", {"spec": "tiny.yaml"}))

    plan = talk([str(tmp_path), "--allow-run"], ask)
    assert [run["measured"] for run in plan["runs"]] == [False]
    assert 0 < plan["segments"][0]["epochs_to_train"] < epochs, "the same call goes on where it stopped"
    assert totals <= {None, epochs + 1}


HELLO = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "a test", "version": "0"},
}


def message(number: int, method: str, params: dict[str, Any]) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + "\n"


INITIALIZED = json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}) + "\n"


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_server_and_the_run_that_it_has_begun(
    command: Callable[..., list[str]],
    make_workplace: Callable[..., Path],
    tmp_path: Path,
    ablate: Ablate,
    stop: signal.Signals,
) -> None:
    make_workplace(tmp_path)
    server = subprocess.Popen(
        command("mcp", str(tmp_path), "--allow-run"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    assert server.stdin and server.stdout
    run = {"name": "run", "arguments": {"spec": "tiny.yaml"}, "_meta": {"progressToken": "run"}}
    server.stdin.write(message(1, "initialize", HELLO) + INITIALIZED + message(2, "tools/call", run))
    server.stdin.flush()
    assert json.loads(server.stdout.readline())["result"]["serverInfo"]["name"] == "ablate"
    assert json.loads(server.stdout.readline())["params"]["progressToken"] == "run"
    server.send_signal(stop)
    _, shown = server.communicate()
    assert server.returncode == 128 + stop
    assert "interrupted" in shown and "Traceback" not in shown
    while commands := json.loads(ablate("status", "--json", folder=tmp_path).out)["commands"]:
        assert commands[0]["state"] == "running", "nobody has to kill it"
    assert not (tmp_path / "reports").exists()


def test_nothing_but_the_protocol_is_on_standard_output(
    command: Callable[..., list[str]], finished: Path
) -> None:
    said = message(1, "initialize", HELLO) + INITIALIZED
    for number, name in enumerate(("status", "plan", "show"), start=2):
        said += message(number, "tools/call", {"name": name, "arguments": SAME[name][0]})
    done = subprocess.run(
        command("mcp", str(finished)), input=said, capture_output=True, text=True, check=True
    )
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in done.stdout.splitlines())
    assert "Traceback" not in done.stderr


def test_without_the_sdk_it_says_what_to_install(ablate: Ablate, monkeypatch: pytest.MonkeyPatch) -> None:
    here = builtins.__import__

    def missing(name: str, *arguments: Any, **named: Any) -> Any:
        if name.startswith("mcp"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return here(name, *arguments, **named)

    monkeypatch.delitem(__import__("sys").modules, "ablate.cli.tools", raising=False)
    monkeypatch.setattr(builtins, "__import__", missing)
    done = ablate("mcp")
    assert done.code == 2
    assert "pip install 'mcp>=2.3,<3'" in done.err


def test_a_folder_that_is_not_there_is_named(ablate: Ablate) -> None:
    done = ablate("mcp", "nowhere")
    assert done.code == 2
    assert "nowhere: there is no such folder" in done.err
