"""The command line: parse → call → print. Nothing else."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.errors import AblateError, UserError

if TYPE_CHECKING:
    from ablate.plan import Plan

app = typer.Typer(
    help="Which training choices of a latent diffusion model helped, by how much, how sure are we?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Data sets.", no_args_is_help=True)
kit_app = typer.Typer(
    help="Kits: the frozen parts (VAE, text encoder, evaluator, LPIPS backbone).", no_args_is_help=True
)
app.add_typer(data_app, name="data")
app.add_typer(kit_app, name="kit")

SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="The experiment's YAML file.")]
Profile = Annotated[str | None, typer.Option("--profile", help="Profile instead of the spec's own.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B.C=VALUE", help="Override a field in all variants; repeatable."),
]
Seeds = Annotated[str | None, typer.Option("--seeds", help="Seeds instead of the spec's own: 0,1,2 or 0-5.")]
StoreFolder = Annotated[Path, typer.Option("--store", help="Folder of the store, a cache.")]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri", help="MLflow address. Default: MLFLOW_TRACKING_URI, or sqlite:///mlflow.db."
    ),
]
Reports = Annotated[Path, typer.Option("--reports", help="Folder that reports are written to.")]

STORE = Path(".ablate")
REPORTS = Path("reports")


@app.command()
def run(
    spec: SpecFile,
    profile: Profile = None,
    sets: Sets = None,
    seeds: Seeds = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes. Default: as many as cores allow.")
    ] = None,
    audited: Annotated[
        bool, typer.Option("--audit/--no-audit", help="Ask first whether each factor acts.")
    ] = True,
    store: StoreFolder = STORE,
    tracking_uri: TrackingUri = None,
    reports: Reports = REPORTS,
) -> None:
    """Train, sample and evaluate what is missing of an experiment, record it, and write its report.

    The same command goes on where it was interrupted.
    """
    plan = _plan(spec, profile, sets, seeds, store)
    from ablate.console import ProgressScreen, out, print_warnings
    from ablate.runner.run import run_experiment
    from ablate.tracking import default_uri

    print_warnings(plan)
    screen = ProgressScreen()
    try:
        outcome = run_experiment(plan, tracking_uri or default_uri(), screen, workers, audited=audited)
    except KeyboardInterrupt:
        out.print("interrupted; the same command goes on where it stopped")
        raise typer.Exit(130) from None
    finally:
        screen.close()
    from ablate.report import write_report

    page = write_report(outcome.tracking.read(outcome.parent), reports)
    finished, failed = len(outcome.finished), len(outcome.failed)
    there = len(plan.runs) - finished - failed
    out.print(f"{finished} runs finished, {there} were there already, {failed} failed. Report: {page}")
    if outcome.failed:
        raise typer.Exit(1)


@app.command()
def plan(
    spec: SpecFile,
    profile: Profile = None,
    sets: Sets = None,
    seeds: Seeds = None,
    store: StoreFolder = STORE,
) -> None:
    """Show the runs, the shared trunks, what is in the store, and why a stage has to run."""
    made = _plan(spec, profile, sets, seeds, store)
    from ablate.console import print_plan
    from ablate.plan import reasons

    print_plan(made, reasons(made))


@app.command()
def audit(
    spec: SpecFile,
    profile: Profile = None,
    sets: Sets = None,
    seeds: Seeds = None,
    store: StoreFolder = STORE,
) -> None:
    """Ask of each variant whether what it toggles acts, by a few steps of the real training.

    Exits with 2 if something was meant to act and does not, unless the spec expects it.
    """
    made = _plan(spec, profile, sets, seeds, store)
    from ablate.console import ProgressScreen
    from ablate.runner.run import refuse_inert, run_audit

    screen = ProgressScreen()
    findings = run_audit(made, screen)
    screen.findings(findings)
    refuse_inert(findings)


@app.command()
def verify(
    spec: SpecFile,
    profile: Profile = None,
    sets: Sets = None,
    seeds: Seeds = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Default: the first seed.")] = None,
    store: StoreFolder = STORE,
    tracking_uri: TrackingUri = None,
) -> None:
    """Train the variants of one seed together and each by itself; compare weights and time.

    The result goes into the experiment's MLflow run, if it has run, and into its report.
    """
    made = _plan(spec, profile, sets, seeds, store)
    if seed is not None and seed not in made.experiment.spec.seeds:
        raise UserError(f"there is no seed {seed}", where=f"--seed {seed}", fix="Give one of the spec's.")
    from ablate.console import ProgressScreen, print_verification
    from ablate.runner.verify import verify as train_both
    from ablate.tracking import Tracking, default_uri, spec_key

    screen = ProgressScreen()
    try:
        measured = train_both(made, made.experiment.spec.seeds[0] if seed is None else seed, screen)
    finally:
        screen.close()
    print_verification(measured)
    tracking = Tracking(tracking_uri or default_uri(), made.experiment.name)
    if parent := tracking.find_parent(spec_key(made)):
        tracking.log_verification(parent, measured)
    if not all(measured.equal.values()):
        raise typer.Exit(1)


class Format(StrEnum):
    """How a report is written."""

    MARKDOWN = "markdown"
    LATEX = "latex"
    CSV = "csv"
    HTML = "html"


@app.command()
def report(
    spec: SpecFile,
    profile: Profile = None,
    sets: Sets = None,
    seeds: Seeds = None,
    form: Annotated[Format, typer.Option("--format", help="What is written.")] = Format.MARKDOWN,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 if a claim that must be supported is not.")
    ] = False,
    store: StoreFolder = STORE,
    tracking_uri: TrackingUri = None,
    reports: Reports = REPORTS,
) -> None:
    """Write an experiment's report from MLflow alone."""
    made = _plan(spec, profile, sets, seeds, store)
    from ablate.console import out
    from ablate.report import gather, unmet, write_report
    from ablate.tracking import Tracking, default_uri, spec_key

    tracking = Tracking(tracking_uri or default_uri(), made.experiment.name)
    parent = tracking.find_parent(spec_key(made))
    if parent is None:
        raise UserError(
            "MLflow has no run of this experiment with these settings",
            where=str(spec),
            fix=f"Run it first: ablate run {spec} (with the same --profile, --set and --seeds).",
        )
    record = tracking.read(parent)
    out.print(f"Report: {write_report(record, reports, format=form.value)}")
    if check and (failing := unmet(gather(record))):
        for claim in failing:
            out.print(f"{claim.verdict}, and must be supported: {claim.text}", markup=False, soft_wrap=True)
        raise typer.Exit(1)


@app.command()
def sample(
    spec: Annotated[Path, typer.Argument(metavar="EXPERIMENT", help="The experiment's YAML file.")],
    variant: Annotated[str, typer.Argument(help="Name of the variant.")],
    prompt: Annotated[list[str] | None, typer.Option("--prompt", help="What to draw; repeatable.")] = None,
    prompts: Annotated[
        Path | None, typer.Option("--prompts", help="A text file, one prompt a line, or a test.json.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Run to sample from. Default: the first seed.")
    ] = None,
    out_folder: Annotated[Path, typer.Option("--out", help="Folder for the PNGs.")] = Path("samples"),
    profile: Profile = None,
    sets: Sets = None,
    seeds: Seeds = None,
    store: StoreFolder = STORE,
) -> None:
    """Draw images for your own prompts from a trained variant."""
    made = _plan(spec, profile, sets, seeds, store)
    from ablate.console import out
    from ablate.runner.draw import choose_run, read_prompts

    chosen = choose_run(made, variant, seed)
    texts = read_prompts(prompt or [], prompts)
    os.environ["OMP_NUM_THREADS"] = str(chosen.keys.config.compute.threads)
    from ablate.stages.sample import sample_prompts

    for path in sample_prompts(chosen.keys, made.store, texts, out_folder):
        out.print(str(path))


@app.command()
def ui(
    tracking_uri: TrackingUri = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 5000,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Open the MLflow UI on the recorded runs."""
    from ablate.tracking import ui_command

    command = ui_command(tracking_uri, host, port)
    os.execv(command[0], command)


@app.command()
def schema() -> None:
    """Print the JSON schema of experiment files, for editors."""
    import json

    from ablate.spec.schema import json_schema

    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")


@app.command()
def fetch(
    profile: Annotated[str, typer.Option("--profile", help="Whose parts.")] = "sprites", sets: Sets = None
) -> None:
    """Download the pretrained parts that a profile names, ahead of any run, and load each once.

    What is there is skipped; the same command goes on where it was interrupted.
    """
    from ablate.console import FetchScreen
    from ablate.parts.fetch import fetch_parts
    from ablate.spec.load import load_config

    fetch_parts(load_config(profile, sets or ()), FetchScreen())


@app.command()
def doctor(
    profile: Annotated[str, typer.Option("--profile", help="What shall run.")] = "sprites",
    sets: Sets = None,
    store: StoreFolder = STORE,
    tracking_uri: TrackingUri = None,
) -> None:
    """Say whether a profile can run on this machine: parts, devices, libraries, disk, MLflow.

    Exits with 1 if it cannot, and says what mends it.
    """
    from ablate.console import print_answers
    from ablate.parts.doctor import diagnose
    from ablate.spec.load import load_config
    from ablate.tracking import default_uri

    config = load_config(profile, sets or ())
    if not print_answers(diagnose(config, profile, store, tracking_uri or default_uri())):
        raise typer.Exit(1)


@data_app.command("sprites")
def data_sprites(
    out_folder: Annotated[Path, typer.Option("--out", help="Folder to write the data set to.")],
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
) -> None:
    """Draw the embedded data set: monsters with captions, in the published task's format."""
    from ablate.console import out
    from ablate.data.sprites import generate

    if out_folder.exists() and (not out_folder.is_dir() or any(out_folder.iterdir())):
        raise UserError("there is something there already", where=str(out_folder), fix="Give a new folder.")
    generate(out_folder, seed)
    out.print(f"Data set: {out_folder}")


@data_app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="hub:owner/name, or hub:owner/name@revision.")],
    store: StoreFolder = STORE,
) -> None:
    """Download a data set of the Hugging Face hub into the store, for data.path. Needs ablate[hub]."""
    from ablate.console import out
    from ablate.data.hub import PREFIX, export_hub
    from ablate.store import Store, key_of

    if not name.startswith(PREFIX):
        raise UserError("is no data set of the hub", where=name, fix=f"Write {PREFIX}owner/name.")
    ingredients = {"data": name}
    kept, key = Store(store), key_of(ingredients)
    if not kept.has("data", key):
        with kept.writing("data", key, ingredients) as folder:
            export_hub(name, folder, lambda text: out.print(text, markup=False))
    out.print(f"In the store: {kept.path('data', key)}. Use it as data.path: {name}", markup=False)


@data_app.command("check")
def data_check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A data set's folder.")],
) -> None:
    """List what is wrong or odd about a data set. Exits with 2 if it cannot be trained with."""
    from ablate.data.check import check_data, decoding_bar, print_data_report

    with decoding_bar() as progress:
        found = check_data(folder, progress)
    print_data_report(found)
    if not found.trainable:
        raise typer.Exit(2)


@kit_app.command("build")
def kit_build(
    data: Annotated[Path, typer.Option("--data", help="Folder in the task's format.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder to write the kit to.")],
    effort: Annotated[
        float, typer.Option("--effort", min=0.001, help="Share of the usual training steps.")
    ] = 1.0,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
) -> None:
    """Train the frozen parts on a data set and print their qualities."""
    from ablate.kit.build import build_kit
    from ablate.kit.check import print_qualities

    print_qualities(build_kit(data, out_folder, effort=effort, seed=seed))


@kit_app.command("check")
def kit_check(
    kit: Annotated[Path | None, typer.Option("--kit", help="Kit folder. Default: the embedded kit.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Data set. Default: the embedded one.")] = None,
) -> None:
    """Measure a kit's qualities again."""
    from ablate.components import EMBEDDED
    from ablate.kit.check import check_kit, print_qualities

    print_qualities(check_kit(kit or EMBEDDED, data))


@kit_app.command("distill-decoder")
def kit_distill_decoder(
    data: Annotated[Path, typer.Option("--data", help="A data set's folder.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder to write the decoder to.")],
    profile: Annotated[
        str, typer.Option("--profile", help="Whose VAE, LPIPS backbone and image size.")
    ] = "sprites",
    sets: Sets = None,
    effort: Annotated[
        float, typer.Option("--effort", min=0.001, help="Share of the usual training steps.")
    ] = 1.0,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
) -> None:
    """Train a small decoder that stands in for a VAE's own in the LPIPS loss (components.small_decoder)."""
    from ablate.console import out
    from ablate.kit.build import console_progress
    from ablate.kit.distill import distill_decoder
    from ablate.parts.check import require
    from ablate.spec.load import load_config

    config, show = load_config(profile, sets or ()), console_progress()
    require([(name, getattr(config.components, name)) for name in ("vae", "perceptual")], profile)
    made = distill_decoder(
        config,
        data,
        out_folder,
        effort=effort,
        seed=seed,
        tell=lambda *step: show("small decoder", *step),
    )
    out.print(
        f"Small decoder: {out_folder}, {made.weights} weights (the VAE's: {made.vae_weights}), "
        f"PSNR {made.psnr:.1f} dB against the VAE's decoding of {made.images} held-out images, cosine "
        f"{made.gradient:.2f} between the gradients of LPIPS through both"
    )


def _plan(
    spec: Path, profile: str | None, sets: list[str] | None, seeds: str | None, store_folder: Path
) -> Plan:
    """The plan that all commands on an experiment begin with."""
    from ablate.fingerprint import Contents
    from ablate.plan import make_plan
    from ablate.spec.load import load_experiment, parse_seeds
    from ablate.store import Store

    experiment = load_experiment(
        spec, profile=profile, sets=sets or (), seeds=None if seeds is None else parse_seeds(seeds)
    )
    contents = Contents(store_folder / "digests.json")
    made = make_plan(experiment, Store(store_folder), contents)
    contents.save()
    return made


def main() -> None:
    """Console script: user errors exit with 2, failures of a run with 1, neither with a traceback."""
    try:
        app()
    except AblateError as error:
        from ablate.console import print_error

        print_error(error)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
