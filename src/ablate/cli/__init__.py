"""The command line. Each group of commands is a file: parse → call → print, nothing else.

``options`` has what several commands take, ``printing`` all tables and lines, ``screens`` all progress.
Only names are imported here, so that ``ablate --help`` is there at once.
"""

from __future__ import annotations

from collections.abc import Callable

import typer

from ablate.cli import data, experiment, keeping, kit, looking, parts, results, serving, starting

app = typer.Typer(
    help="Find out which training choices helped, by how much, and how sure you can be.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS: tuple[Callable[..., None], ...] = (
    starting.init,
    starting.examples,
    experiment.run,
    experiment.plan,
    experiment.audit,
    experiment.verify,
    results.report,
    looking.show,
    looking.compare,
    looking.next_,
    looking.open_,
    results.sample,
    results.ui,
    experiment.schema,
    keeping.status,
    keeping.gc,
    keeping.rm,
    keeping.export,
    keeping.import_,
    parts.fetch,
    parts.doctor,
    serving.mcp,
)
for command in COMMANDS:
    app.command(command.__name__.rstrip("_"))(command)
app.add_typer(data.app, name="data")
app.add_typer(kit.app, name="kit")
