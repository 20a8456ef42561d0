"""The published setting's true shapes, from end to end on a CPU: ``python benchmarks/true_shapes.py``.

256 px images, the 224.6 M-parameter U-Net, Stable Diffusion's VAE, CLIP ViT-B/32 and LPIPS on AlexNet, all
with random weights, 64 images, 2 epochs of 2 steps, 4 sampling steps: ``ablate run experiments/ema.yaml
--profile maplestory`` ends with a report that means nothing. Takes about half an hour on two cores and 15 GB.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from made import make_images, make_parts

ROOT = Path(__file__).parent.parent
OVERRIDES = {
    "train.epochs": 2,
    "train.batch": 8,
    "train.accumulation": 4,
    "train.precision": "fp32",
    # LPIPS through the whole decoder for every image would take the rest of the day.
    "losses.lpips.images": 1,
    "sample.steps": 4,
    "sample.batch": 4,
    "track.preview_every": 0,
    "compute.threads": 2,
}


def main() -> None:
    """Makes the parts and the images, runs the command in a folder of its own, and says how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder to keep; without it everything is removed")
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="ablate-true-shapes-"))
    try:
        components = make_parts(folder / "parts")
        make_images(folder / "data", train=64, test=4, size=256)
        sets = {**OVERRIDES, "components": components, "data.path": str(folder / "data")}
        arguments = [f"--set={field}={json.dumps(value)}" for field, value in sets.items()]
        command = [sys.executable, "-m", "ablate.cli", "run", str(ROOT / "experiments" / "ema.yaml")]
        command += ["--profile", "maplestory", "--seeds", "0", "--workers", "1", *arguments]
        started = time.monotonic()
        done = subprocess.run(command, cwd=folder, check=False)
        print(f"exit code {done.returncode} after {(time.monotonic() - started) / 60:.1f} minutes")
        print((folder / "reports" / "ema.md").read_text()[:600] if done.returncode == 0 else "no report")
        sys.exit(done.returncode)
    finally:
        if not options.out:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
