"""The published setting's true shapes, from end to end on a CPU: ``python benchmarks/true_shapes.py``.

256 px images, the 224.6 M-parameter U-Net, Stable Diffusion's VAE, CLIP ViT-B/32, LPIPS on AlexNet and
Inception, all with random weights, 64 images, 2 epochs of 2 steps, 4 sampling steps: ``ablate run
experiments/ema.yaml --profile maplestory`` ends with a report that means nothing. Takes about half an
hour on two cores and 15 GB. With ``--divide 8 --size 64`` the same is done at an eighth of the widths in a
minute, with FID in the evaluator's features.
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

from made import make_images, make_parts, narrow_unet

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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--divide", type=int, default=1, help="divisor of all widths")
    parser.add_argument("--size", type=int, default=256, help="edge of the images")
    parser.add_argument("--out", type=Path, help="folder to keep; without it everything is removed")
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="ablate-true-shapes-"))
    try:
        sys.exit(run(folder, options.divide, options.size))
    finally:
        if not options.out:
            shutil.rmtree(folder)


def run(folder: Path, divide: int, size: int) -> int:
    """The command's exit code."""
    components = make_parts(folder / "parts", divide=divide)
    make_images(folder / "data", train=64, test=4, size=size)
    unet = {f"unet.{field}": value for field, value in narrow_unet(divide).items()}
    data = {"data.path": str(folder / "data"), "data.size": size, "unet.sample_size": size // 8}
    sets = {**OVERRIDES, **unet, **data, "components": components}
    if divide > 1:
        # Inception has 2048 features whatever is divided, and roots of such matrices outlast all the rest.
        sets["evaluate.fid_features"] = "evaluator"
        # So little work is not worth sharing: two threads would mostly wait for each other.
        sets["compute.threads"] = 1
    arguments = [f"--set={field}={json.dumps(value)}" for field, value in sets.items()]
    command = [sys.executable, "-m", "ablate", "run", str(ROOT / "experiments" / "ema.yaml")]
    command += ["--profile", "maplestory", "--seeds", "0", "--workers", "1", *arguments]
    started = time.monotonic()
    code = subprocess.run(command, cwd=folder, check=False).returncode
    print(f"exit code {code} after {(time.monotonic() - started) / 60:.1f} minutes")
    return code


if __name__ == "__main__":
    main()
