"""What each optimization is worth: ``make bench``, or ``python benchmarks/bench.py --help``.

All variants run in one process, one step each in turn, so that a machine that slows down slows them all;
the first comes twice, to show what no difference looks like. Printed are medians of the ratios within a
turn, with a 95 % interval of the median. On the CPU the published setting is measured at an eighth of its
widths and 128 px, on CUDA at full size.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from made import make_images, make_parts, narrow_unet

from ablate.experiment.config import Config
from ablate.experiment.load import load_profile
from ablate.experiment.merge import expand, merge
from ablate.fingerprint import Contents
from ablate.metrics.spaces.inception import InceptionSpace
from ablate.parts.evaluator import EvaluatorPart
from ablate.parts.inception import CLEAN_FID, InceptionPart
from ablate.parts.text import load_text
from ablate.stages.batch import draw_batch
from ablate.stages.keys import RunKeys
from ablate.stages.prepare import prepare, to_model
from ablate.stages.sample import sample_images
from ablate.stages.step import batch_losses, forward, optimizer_step, weighted_sum
from ablate.stages.train import epoch_batches
from ablate.stages.training import Training
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HERE = Path(__file__).parent
PACKAGES = ("torch", "diffusers", "transformers", "lpips")

DIVIDE = {"cpu": 8, "cuda": 1}
"""Divisor of the published widths."""
MATRIX = {"cpu": (2048, torch.float32), "cuda": (8192, torch.bfloat16)}
"""Edge and numbers of the matrices whose product shows what the machine can do."""
MEASURED = 64
"""Images that the evaluator and Inception are timed with."""
SIZES: dict[str, dict[str, Any]] = {
    "cpu": {
        "data": {"size": 128},
        "unet": {"sample_size": 16},
        "sample": {"steps": 4, "batch": 16},
    },
    "cuda": {"sample": {"steps": 20, "batch": 64}},
}
"""Overrides of the published setting. A sampling step costs the same however many there are."""
FASTEST: dict[str, dict[str, Any]] = {
    "cpu": {"channels_last": True},
    "cuda": {"precision": "bf16", "channels_last": True, "compile": True},
}
"""The last rung of the ladder, in fields of ``train``."""
PLAIN: dict[str, Any] = {
    "train": {
        "epochs": 1,
        "accumulation": 1,
        "precision": "fp32",
        "compile": False,
        "channels_last": False,
    },
    "losses": {"lpips": None, "kl": None},
    "evaluate": {"fid_features": "evaluator"},
}


@dataclass(frozen=True)
class Setting:
    """A data set with parts, prepared, and the configuration that goes with them."""

    base: dict[str, Any]
    store: Store
    device: str

    def training(self, *overrides: dict[str, Any]) -> Training:
        """A training with some fields replaced, at its beginning."""
        return Training.at(0, self.keys(*overrides), (), self.store)

    def keys(self, *overrides: dict[str, Any]) -> RunKeys:
        """The keys of a configuration with some fields replaced; its data are prepared."""
        data = self.base
        for each in overrides:
            data = merge(data, each)
        keys = RunKeys(Config.model_validate(data), 0, Contents(self.store.root / "digests.json"))
        prepare(keys, self.store, lambda text: None)
        return keys


def make_setting(folder: Path, device: str) -> Setting:
    """Made parts and images below ``folder``."""
    divide = DIVIDE[device]
    base = merge(
        load_profile("maplestory"), expand({"components": make_parts(folder / "parts", divide=divide)})
    )
    for overrides in ({"unet": narrow_unet(divide)}, SIZES[device], PLAIN):
        base = merge(base, overrides)
    batch = base["train"]["batch"]
    images = make_images(folder / "data", train=2 * batch, test=batch, size=base["data"]["size"])
    base = merge(base, {"data": {"path": str(images)}, "compute": {"device": device}})
    return Setting(base, Store(folder / "store"), device)


# ── the steps ────────────────────────────────────────────────────────────────────────────────────


def step(training: Training) -> None:
    """An optimizer step as the package makes it."""
    acting = training.keys.acting(0)
    rows = epoch_batches(len(training.data.mean), training.config.train.batch, training.seed, 0)[0]
    loss = weighted_sum(
        batch_losses(training, forward(training, draw_batch(training, rows, 0, 0, acting)), acting), acting
    )
    loss.backward()
    optimizer_step(training, acting, 0)


def naive_step(training: Training) -> Callable[[], None]:
    """A step as it is often written: images and texts encoded anew, checkpointing, a loss scaler on CUDA,
    an optimizer that is not fused."""
    config, device = training.config, training.device
    training.unet.enable_gradient_checkpointing()
    optimizer = torch.optim.AdamW(training.unet.parameters(), lr=1e-4, foreach=False, fused=False)
    on_cuda = device.type == "cuda"
    scaler = torch.amp.GradScaler(device.type, enabled=on_cuda)
    parts = config.components
    tokenizer, encoder = load_text(parts.text_encoder, parts.tokenizer, str(device))
    rows = epoch_batches(len(training.data.mean), config.train.batch, training.seed, 0)[0]
    texts = [f"A round monster of colour {row}." for row in rows.tolist()]

    def run() -> None:
        images = to_model(training.data.images[rows]).to(device)
        with torch.no_grad(), torch.autocast(device.type, torch.float16, enabled=on_cuda):
            posterior = training.frozen.vae.encode(images).latent_dist
            x0 = posterior.sample() * training.frozen.vae.config.scaling_factor
            tokens = tokenizer(texts, padding="max_length", max_length=77, return_tensors="pt").input_ids
            states = encoder(tokens.to(device)).last_hidden_state
        noise = torch.randn_like(x0)
        t = torch.randint(training.process.timesteps, (len(rows),), device=device)
        with torch.autocast(device.type, torch.float16, enabled=on_cuda):
            prediction = training.unet(
                training.process.noised(x0, noise, t), t, encoder_hidden_states=states
            ).sample
        loss = torch.nn.functional.mse_loss(prediction.float(), noise.float())
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(training.unet.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()

    return run


def unfused(training: Training) -> Training:
    """The training with an optimizer that is not fused."""
    training.optimizer = torch.optim.AdamW(training.unet.parameters(), lr=1e-4, foreach=False, fused=False)
    return training


def step_ladder(setting: Setting) -> dict[str, Callable[[], None]]:
    """Each rung has what those before it have."""
    cached = {"train": {"checkpointing": True}}
    rungs: dict[str, Callable[[], None]] = {
        "naive": naive_step(setting.training()),
        "naive again": naive_step(setting.training()),
        "cached latents and texts": partial(step, unfused(setting.training(cached))),
        "no checkpointing": partial(step, unfused(setting.training())),
    }
    if setting.device == "cuda":
        rungs["bf16"] = partial(step, unfused(setting.training({"train": {"precision": "bf16"}})))
    eager = {"train": {**FASTEST[setting.device], "compile": False}}
    rungs["channels_last"] = partial(step, unfused(setting.training(eager)))
    rungs["fused optimizer"] = partial(step, setting.training(eager))
    if setting.device == "cuda":
        rungs["compiled"] = partial(step, setting.training({"train": FASTEST["cuda"]}))
    return rungs


def lpips_rungs(setting: Setting) -> dict[str, Callable[[], None]]:
    """The fastest step with LPIPS at different prices; the first is without."""
    fast, m = {"train": FASTEST[setting.device]}, 2
    forms = {
        "LPIPS of the whole batch": {},
        f"LPIPS of {m} images": {"images": m},
        "LPIPS at a quarter of the timesteps": {"timesteps": 0.25},
    }
    rungs = {
        "without LPIPS": partial(step, setting.training(fast)),
        "without LPIPS again": partial(step, setting.training(fast)),
    }
    for name, form in forms.items():
        losses = {"losses": {"lpips": {"weight": 0.1, "start": 0, "micro_batch": 4, **form}}}
        rungs[name] = partial(step, setting.training(fast, losses))
    return rungs


def sampling_rungs(setting: Setting) -> dict[str, Callable[[], None]]:
    """Some prompts, drawn in different ways."""
    count = setting.base["sample"]["batch"]

    def all_prompts(keys: RunKeys, batch: int) -> Callable[[], None]:
        training = Training.at(0, keys, (), setting.store)
        unet, vae, data = training.unet.eval(), training.frozen.vae, training.data
        prompts = data.prompts[:count]
        unet = torch.compile(unet, mode="reduce-overhead") if keys.config.sample.compile else unet

        def run() -> None:
            for first in range(0, len(prompts), batch):
                some = prompts[first : first + batch]
                states = data.states[[prompt["state"] for prompt in some]]
                names = [prompt["image_name"] for prompt in some]
                sample_images(keys.config, unet, vae, states, data.states[:1], names, 0)

        return run

    plain = setting.keys()
    if setting.device != "cuda":
        return {
            "one prompt at a time": all_prompts(plain, 1),
            "one prompt at a time again": all_prompts(plain, 1),
            "a batch of prompts": all_prompts(plain, count),
        }
    half = {"sample": {"precision": "bf16"}}
    return {
        "eager, batches of 32": all_prompts(plain, 32),
        "eager, batches of 32 again": all_prompts(plain, 32),
        f"batches of {count}": all_prompts(plain, count),
        f"bf16, batches of {count}": all_prompts(setting.keys(half), count),
        "bf16, compiled": all_prompts(setting.keys(merge(half, {"sample": {"compile": True}})), count),
    }


# ── measuring ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Row:
    """What one way of doing it took."""

    name: str
    seconds: float
    """Median."""
    ratio: float
    low: float
    high: float
    """How many times as fast as the first, with the interval of the median."""
    memory: float | None
    """GiB that it takes for a while beside weights, moments and data, at most; on CUDA."""


def interleaved(rungs: dict[str, Callable[[], None]], turns: int, device: str) -> list[Row]:
    """Each twice to warm up, then one after the other, ``turns`` times. What does not fit is left out."""
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    memory: dict[str, float | None] = {}
    for name, run in rungs.items():
        try:
            run()
            memory[name] = peak_memory(run) if device == "cuda" else run()
        except torch.OutOfMemoryError:
            print(f"{name}: too little memory")
            torch.cuda.empty_cache()
    times: dict[str, list[float]] = {name: [] for name in memory}
    for _ in range(turns):
        for name, taken in times.items():
            started = time.perf_counter()
            rungs[name]()
            wait()
            taken.append(time.perf_counter() - started)
    first = next(iter(times.values()))
    rows = []
    for name, own in times.items():
        ratios = [a / b for a, b in zip(first, own, strict=True)]
        low, high = median_interval(ratios)
        rows.append(Row(name, statistics.median(own), statistics.median(ratios), low, high, memory[name]))
    return rows


def peak_memory(run: Callable[[], None]) -> float:
    """GiB that a call takes beside what is there before it."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**30


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """A 95 % bootstrap interval of the median."""
    rng = np.random.default_rng(0)
    draws = np.median(rng.choice(np.array(values), (2000, len(values))), axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def matmul_peak(device: str) -> float:
    """FLOP/s of a large matrix product: bf16 on CUDA, fp32 on the CPU."""
    n, kind = MATRIX[device]
    a = torch.randn(n, n, device=device, dtype=kind)
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    times = []
    for _ in range(8):
        wait()
        started = time.perf_counter()
        a @ a
        wait()
        times.append(time.perf_counter() - started)
    return 2 * n**3 / min(times)


def step_flops(training: Training) -> int:
    """FLOPs of a forward and backward pass of a batch through the U-Net, by torch's counter."""
    from torch.utils.flop_counter import FlopCounterMode

    acting = training.keys.acting(0)
    rows = epoch_batches(len(training.data.mean), training.config.train.batch, training.seed, 0)[0]
    batch = draw_batch(training, rows, 0, 0, acting)
    with FlopCounterMode(display=False) as counter:
        weighted_sum(batch_losses(training, forward(training, batch), acting), acting).backward()
    training.optimizer.zero_grad(set_to_none=True)
    return int(counter.get_total_flops())


def images_per_second(setting: Setting) -> dict[str, float]:
    """How fast images are measured: by the evaluator, and by Inception."""
    parts, size = setting.keys().config.components, setting.base["data"]["size"]
    images = np.random.default_rng(0).integers(0, 256, (MEASURED, size, size, 3), dtype=np.uint8)
    evaluator = EvaluatorPart(parts.evaluator).load(setting.device)
    inception = InceptionPart(parts.inception or CLEAN_FID).load(setting.device)
    ways: dict[str, Callable[[Any], Any]] = {
        "the evaluator": evaluator.encode_images,
        "Inception": InceptionSpace(inception, setting.device).features,
    }
    speeds = {}
    for name, measure_images in ways.items():
        measure_images(images[:8])
        started = time.perf_counter()
        measure_images(images)
        speeds[name] = len(images) / (time.perf_counter() - started)
    return speeds


def table(title: str, rows: Sequence[Row]) -> str:
    """A markdown table."""
    lines = [
        f"### {title}",
        "",
        "| | seconds | times as fast | 95 % interval | GiB |",
        "| :-- | --: | --: | :-: | --: |",
    ]
    for row in rows:
        memory = "–" if row.memory is None else f"{row.memory:.1f}"
        interval = f"{row.low:.2f} – {row.high:.2f}"
        lines.append(f"| {row.name} | {row.seconds:.3f} | {row.ratio:.2f} | {interval} | {memory} |")
    return "\n".join(lines)


def main() -> None:
    """Measures everything, on the CPU and on CUDA if there is one, and prints it as markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--out", type=Path, help="folder for RESULTS.md")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    parts = ["# Results", "By `make bench`. " + " ".join((__doc__ or "").split("\n\n")[1].split())]
    file = options.out / "RESULTS.md" if options.out else None
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        folder = Path(tempfile.mkdtemp(prefix="ablate-bench-"))
        try:
            for part in measure(folder, device, options.turns):
                print(part, end="\n\n", flush=True)
                parts.append(part)
                if file:  # each part as it comes: what is measured is not lost to what comes after it
                    file.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        finally:
            shutil.rmtree(folder)


def measure(folder: Path, device: str, turns: int) -> Iterator[str]:
    """Section after section, in markdown."""
    setting = make_setting(folder, device)
    batch = setting.base["train"]["batch"]
    machine = (
        torch.cuda.get_device_name()
        if device == "cuda"
        else f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
    )
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    yield f"## {machine}"
    yield f"{versions}. Batch {batch}, {setting.base['data']['size']} px, {turns} turns."
    ladder = interleaved(step_ladder(setting), turns, device)
    yield table("The training step", ladder)
    flops, peak = step_flops(setting.training()), matmul_peak(device)
    yield (
        f"The U-Net's forward and backward pass: {flops / batch / 1e9:.1f} GFLOP a sample. A large matrix "
        f"product reaches {peak / 1e12:.2f} TFLOP/s; the last step "
        f"{100 * flops / ladder[-1].seconds / peak:.0f} % of that."
    )
    yield table("LPIPS", interleaved(lpips_rungs(setting), turns, device))
    yield table("Sampling", interleaved(sampling_rungs(setting), turns, device))
    speeds = (f"{speed:.0f} through {name}" for name, speed in images_per_second(setting).items())
    yield f"### Evaluation\n\nImages a second: {', '.join(speeds)}."


if __name__ == "__main__":
    main()
