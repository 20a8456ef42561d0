"""A study on two Ray nodes beside ``--workers 2``, then with the store on S3 and the record on PostgreSQL:

    python benchmarks/cluster_study.py experiments/ema.yaml --seeds 0-5

Whole studies, one after the other, on this machine. Each node has one CPU. Printed for each: seconds of the
work, as the record has them (from the first task to the last result), epochs trained and asked for, and a
digest of all weights, images and figures. PostgreSQL and the S3 server are real, from packages, and share the
two cores with the study.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ablate
from ablate.api import find
from ablate.experiment.options import parse_seeds
from ablate.progress import Together
from ablate.store.files import file_digest
from ablate.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ablate.experiment.load import Experiment
    from ablate.records import EpochRow

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from ray_overhead import two_nodes
from servers import BUCKET, postgres, s3_server


class Counted(Together):
    """Counts the epochs of a study, and how many were to be trained."""

    epochs = asked = 0

    def begin(self, epochs: int, runs: Collection[str]) -> None:
        """So many are to be trained."""
        self.asked = epochs

    def epoch(self, task: str, epochs: int, row: EpochRow, memory: int) -> None:
        """One more is trained."""
        self.epochs += 1


def main() -> None:
    """Prints what it measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("spec", nargs="?", type=Path, default=Path("experiments/ema.yaml"))
    parser.add_argument("--seeds", default="0-5")
    asked = parser.parse_args()
    experiment = ablate.load(asked.spec, seeds=parse_seeds(asked.seeds))
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # this machine's own address only
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        local = ran(experiment, "local", beside(folder / "local"), workers=2)
        with two_nodes() as address:
            ray = ran(experiment, "ray", beside(folder / "ray"), executor="ray", address=address)
        with ExitStack() as servers:
            os.environ |= {
                "AWS_ENDPOINT_URL": servers.enter_context(s3_server()),
                "AWS_ACCESS_KEY_ID": "ablate",
                "AWS_SECRET_ACCESS_KEY": "ablate",
                "AWS_REGION": "us-east-1",
                "ABLATE_CACHE": str(folder / "cache"),
            }
            database = servers.enter_context(postgres(folder / "postgres"))
            places = {
                "store": f"s3://{BUCKET}/study",
                "tracking_uri": database.address("mlflow"),
                "study_storage": database.address("optuna"),
                "reports": str(folder / "reports"),
            }
            address = servers.enter_context(two_nodes())
            remote = ran(experiment, "ray, S3, PostgreSQL", places, executor="ray", address=address)
    for what, other in (("ray", ray), ("ray, S3, PostgreSQL", remote)):
        ratio, same = other["seconds"] / local["seconds"], other["results"] == local["results"]
        print(f"{what} / local: {ratio:.2f}; the same weights, images and figures: {same}")


def beside(folder: Path) -> dict[str, str]:
    """Store, record and report in a folder."""
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return {"store": str(folder / "store"), "tracking_uri": uri, "reports": str(folder / "reports")}


def ran(experiment: Experiment, what: str, places: Mapping[str, str], **how: Any) -> dict[str, Any]:
    """What a study took and made."""
    counted = Counted()
    outcome = ablate.run(experiment, audit=False, progress=counted, **places, **how)
    if outcome.failed:
        sys.exit(str(outcome.failed))
    where = (experiment.name, places["tracking_uri"], places["store"])
    (call,) = find(*where).record.calls
    table = ablate.read(where[0], tracking_uri=where[1], store=where[2])
    figures = table[[name for name in table if "second" not in name and name != "run_id"]]
    results = hashlib.sha256(f"{figures.to_csv()}{files(places['store'])}".encode()).hexdigest()
    found = {
        "on": what,
        "seconds": round(call.seconds, 1),
        "epochs": f"{counted.epochs} of {counted.asked}",
        "results": results[:16],
    }
    print(json.dumps(found), flush=True)
    return found


def files(store: str) -> list[tuple[str, str]]:
    """Names and SHA-256 of all images, weights and averages in a store, or in its cache here."""
    root = open_store(store).root
    found = (file for stage in ("train", "ema", "sample") for file in sorted((root / stage).rglob("*")))
    return [
        (str(file.relative_to(root)), file_digest(file))
        for file in found
        if file.suffix in (".safetensors", ".png")
    ]


if __name__ == "__main__":
    main()
