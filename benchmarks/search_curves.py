"""TPE beside random and quasi-random search at equal trained steps:

    python benchmarks/search_curves.py --out benchmarks

Each repetition has its own training seed, and all three samplers search with it: they are compared in pairs.
A search begins with an empty store, except for the prepared data, so the steps that it trained are its own.
Then the best trials of the first TPE search are trained one by one, each in a store of its own.

Writes ``search_curves.md``, ``.csv`` and ``.png``. Finished searches are kept in ``--work``: the same command
goes on.
"""

from __future__ import annotations

import argparse
import shutil
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml

import ablate
from ablate.api import find
from ablate.metrics import METRICS
from ablate.report.search import Searched, apart
from ablate.stats import mean_interval
from ablate.stats.paired import mean_difference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

SAMPLERS = ("tpe", "random", "qmc")
MARKS = (400, 600, 800, 1000)
"""Trained steps at which the searches are compared. One that has trained fewer keeps its best."""
CONFIG: dict[str, Any] = {
    "train": {"epochs": 4, "batch": 64, "learning_rate": 4e-3},
    "unet": {"block_out_channels": [16, 32]},
    "track": {"preview_every": 0},
}
"""The embedded data with a U-Net of a sixteenth of the widths' product: a trial takes seconds."""
ALONE = 8
"""How many trials are trained alone."""
SEARCH: dict[str, Any] = {
    "factors": {
        "lpips": {"off": {}, "on": {"losses": {"lpips": {"weight": 0.1, "start": 2, "images": 8}}}},
        "ema": {"off": {}, "on": {"ema": {"decay": 0.95, "start": 1}}},
    },
    "fields": {
        "losses.lpips.weight": {"low": 0.01, "high": 1.0, "log": True, "when": {"lpips": "on"}},
        "losses.lpips.start": {"low": 2, "high": 3, "when": {"lpips": "on"}},
        "ema.decay": {"options": [0.9, 0.95, 0.98], "when": {"ema": "on"}},
        "sample.guidance": {"low": 1, "high": 4},
        "sample.steps": {"low": 4, "high": 16},
    },
    "objectives": ["fid"],
    "round": 6,
}


def main() -> None:
    """Searches whatever is not there yet, and writes what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks"))
    parser.add_argument("--work", type=Path, default=Path("build/search_curves"))
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--trials", type=int, default=24)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    once = only("once", {**CONFIG, "train": {"epochs": 1}})
    prepared = ran(asked.work, "prepared", once)
    found = {
        (sampler, seed): searched(asked.work, sampler, seed, asked.trials, prepared / "store")
        for seed in range(asked.repetitions)
        for sampler in SAMPLERS
    }
    alone = trained_alone(asked.work, found["tpe", 0], prepared / "store")
    curves = {search: best_so_far(each) for search, each in found.items()}
    rows = pd.DataFrame(
        {"sampler": sampler, "seed": seed, "steps": steps, "best_fid": best}
        for (sampler, seed), curve in curves.items()
        for steps, best in curve
    )
    rows.to_csv(asked.out / "search_curves.csv", index=False)
    text = page(curves, asked.trials, found["tpe", 0], alone)
    (asked.out / "search_curves.md").write_text(text, encoding="utf-8")
    draw(curves, asked.out / "search_curves.png")
    print(text)


def only(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """A spec of a single variant."""
    return {"variants": {name: config}, "baseline": name, "seeds": [0]}


def ran(work: Path, name: str, spec: dict[str, Any], store: Path | None = None) -> Path:
    """The folder of a finished experiment, with its record and, until it is cleared, its store."""
    folder = work / name
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "spec.yaml").write_text(yaml.safe_dump({"question": name, "profile": "sprites", **spec}))
        if store and not (folder / "store").exists():  # with the prepared data in it
            shutil.copytree(store, folder / "store")
        outcome = ablate.run(folder / "spec.yaml", workers=1, audit=False, reports=folder, **places(folder))
        assert not outcome.failed, outcome.failed
        (folder / "done").touch()
        if store:
            shutil.rmtree(folder / "store")
        print("finished", name, flush=True)
    return folder


def places(folder: Path) -> dict[str, Any]:
    """Store and record of an experiment."""
    return {"store": str(folder / "store"), "tracking_uri": f"sqlite:///{folder.resolve() / 'mlflow.db'}"}


def searched(work: Path, sampler: str, seed: int, trials: int, store: Path) -> Searched:
    """One search, as its report has it."""
    search = {**SEARCH, "sampler": sampler, "seed": seed, "trials": trials}
    folder = ran(work, f"{sampler}-{seed}", {"config": CONFIG, "search": search, "seeds": [seed]}, store)
    _, search_found = apart(find("spec", places(folder)["tracking_uri"], "unused").record, METRICS)
    assert search_found
    return search_found


def trained_alone(work: Path, search: Searched, store: Path) -> dict[str, float]:
    """The FID of the best trials of the first TPE search, each trained by itself and sharing nothing."""
    configs = find("spec", places(work / "tpe-0")["tracking_uri"], "unused").record.configs
    found = {}
    for name in [trial.name for trial in search.ranked[:ALONE]]:
        alone = ran(work, f"alone/{name}", only(name, configs[name]), store)
        table = ablate.read("spec", tracking_uri=places(alone)["tracking_uri"], store="unused")
        found[name] = float(table["fid"].item())
    return found


def best_so_far(search: Searched) -> list[tuple[int, float]]:
    """After each trial: the steps trained so far, and the best FID so far. The baseline's trunk counts."""
    trunk = sum(stage.trained for stage in search.stages) - sum(trial.trained for trial in search.trials)
    steps = accumulate((trial.trained for trial in search.trials), initial=trunk)
    values = (trial.values.get("fid", np.inf) for trial in search.trials)
    return list(zip(list(steps)[1:], accumulate(values, min), strict=True))


def at(curve: Sequence[tuple[int, float]], steps: float) -> float:
    """The best FID when so many steps had been trained; NaN before the first trial was complete."""
    return next((best for trained, best in reversed(curve) if trained <= steps), np.nan)


def page(
    curves: dict[tuple[str, int], list[tuple[int, float]]],
    trials: int,
    first: Searched,
    alone: dict[str, float],
) -> str:
    """The figures as markdown."""
    seeds = sorted({seed for _, seed in curves})
    lines = [
        "# TPE, random and quasi-random search at equal trained steps",
        "",
        f"`python benchmarks/search_curves.py`: {len(seeds)} repetitions, one training seed each; "
        f"{trials} trials a search, in rounds of {SEARCH['round']}; the embedded data, a small U-Net. "
        "A search that has trained fewer steps keeps its best. Mean of the best FID so far, with 95 % "
        "intervals (Student's t); differences to TPE by repetition.",
        "",
        "| steps trained | " + " | ".join(f"{s}" for s in SAMPLERS) + " | random − tpe | qmc − tpe |",
        "| :-- |" + " :-: |" * (len(SAMPLERS) + 2),
    ]
    for steps in MARKS:
        values = {s: [at(curves[s, seed], steps) for seed in seeds] for s in SAMPLERS}
        lines.append(row(f"{steps}", values))
    values = {s: [curves[s, seed][-1][1] for seed in seeds] for s in SAMPLERS}
    lines.append(row(f"after {trials} trials", values))
    trained = {s: mean_interval([curves[s, seed][-1][0] for seed in seeds]) for s in SAMPLERS}
    in_all = ", ".join(
        f"{s} {mean.mean:.0f} [{mean.low:.0f}, {mean.high:.0f}]" for s, mean in trained.items()
    )
    one_by_one = sum(stage.asked for stage in first.stages)
    lines += [
        "",
        f"Steps trained in all: {in_all}; one by one it would be {one_by_one}.",
        "",
        "![The best FID so far against the steps trained so far](search_curves.png)",
        "",
        *separately(first, alone),
        "",
    ]
    return "\n".join(lines)


def row(title: str, values: dict[str, list[float]]) -> str:
    """Means of the samplers, and what the others differ from TPE."""
    cells = [title]
    for each in values.values():
        mean = mean_interval(each)
        cells.append(f"{mean.mean:.4f} [{mean.low:.4f}, {mean.high:.4f}]")
    for other in SAMPLERS[1:]:
        mean = mean_difference([a - b for a, b in zip(values[other], values["tpe"], strict=True)])
        cells.append(f"{mean.mean:+.4f} [{mean.low:+.4f}, {mean.high:+.4f}]")
    return "| " + " | ".join(cells) + " |"


def separately(first: Searched, alone: dict[str, float]) -> Iterator[str]:
    """Whether trials that shared their training have the values of the same trials trained alone."""
    shared = {trial.name: trial.values["fid"] for trial in first.ranked[:ALONE]}
    equal = sum(shared[name] == alone[name] for name in shared)
    best, best_alone = min(shared, key=shared.__getitem__), min(shared, key=alone.__getitem__)
    yield (
        f"The {len(shared)} best trials of the first TPE search, each trained alone in a store of its own: "
        f"{equal} have the same FID to the last bit. The best: {best} with {shared[best]:.6f} where training "
        f"was shared, {best_alone} with {alone[best_alone]:.6f} alone."
    )


def draw(curves: dict[tuple[str, int], list[tuple[int, float]]], file: Path) -> None:
    """Mean over repetitions, with 95 % intervals as bands."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    seeds = sorted({seed for _, seed in curves})
    grid = np.linspace(0, max(curve[-1][0] for curve in curves.values()), 200)
    for colour, sampler in enumerate(SAMPLERS):
        found: NDArray[np.float64] = np.array([[at(curves[sampler, s], x) for s in seeds] for x in grid])
        known = ~np.isnan(found).any(1)
        intervals = [mean_interval(each) for each in found[known]]
        axes.plot(grid[known], [i.mean for i in intervals], color=f"C{colour}", label=sampler)
        axes.fill_between(
            grid[known],
            [i.low for i in intervals],
            [i.high for i in intervals],
            color=f"C{colour}",
            alpha=0.15,
            linewidth=0,
        )
    axes.set_xlabel("optimizer steps trained")
    axes.set_ylabel("best FID (sprites-clip) so far")
    axes.legend(title="sampler")
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    main()
