"""Stage train: a stretch of the training chain, one stored state per link.

``train/<K[e]>/`` holds the state at the beginning of epoch e:
    unet.safetensors       the weights
    optimizer.safetensors  AdamW's moments and step counts
    state.json             epoch, digest of the weights, the history of all epochs before
``ema/<key>/shadow.safetensors`` holds one observer's average at one link.
"""

from __future__ import annotations

import gc
import json
import math
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from ablate.diffusion import losses, randomness
from ablate.diffusion.augment import AUGMENTATIONS
from ablate.diffusion.ema import EmaObserver
from ablate.diffusion.schedule import ForwardProcess
from ablate.diffusion.unet import build_unet
from ablate.errors import RunError
from ablate.keys import active, newest_stored_link
from ablate.parts.perceptual import PerceptualPart
from ablate.parts.vae import VaePart
from ablate.stages import device as devices
from ablate.stages.prepare import Prepared, augmented, batch_size, to_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from ablate.keys import Ingredients, Observer, RunKeys
    from ablate.records import EpochRow
    from ablate.spec.config import Config
    from ablate.store import Store


def train(
    keys: RunKeys,
    observers: Sequence[Observer],
    begin: int,
    end: int,
    store: Store,
    on_epoch: Callable[[Training], None],
    progress: Callable[[str], None],
) -> None:
    """Trains from the newest stored link up to link ``end`` and stores the state at each link.

    Args:
        keys: those of any run that stands on this stretch.
        observers: the EMA settings of all runs that stand on it.
        begin: the link at which the stretch leaves its parent; it and ``end`` are kept, the links
            between only until the next one is stored.
        on_epoch: called after each stored epoch.
        progress: told after each step how far the epoch is.

    Raises:
        RunError: the loss is no longer finite.
    """
    with store.lock(f"train-{keys.chain[min(begin + 1, end)]}"):
        newest = newest_stored_link(keys.chain, observers, end, store)
        for epoch in range(begin + 1, newest):
            forget(keys, observers, epoch, store)  # left by a process killed between two links
        training = Training.at(newest, keys, observers, store)
        for epoch in range(training.epoch, end):
            train_epoch(training, epoch, progress)
            training.save(store, kept=False)
            if epoch > begin:  # K[begin] belongs to the stretch before
                forget(keys, observers, epoch, store)
            on_epoch(training)
        training.save(store, kept=True)


def train_epoch(training: Training, epoch: int, progress: Callable[[str], None]) -> None:
    """One epoch: the loop that everything else is about.

    Each draw is made from (seed, epoch, batch, purpose), so this epoch is the same whether the
    training started before it or at it.
    """
    train, acting = training.config.train, active(training.config, epoch, frozen={})
    training.begin_observers(epoch)

    started = time.perf_counter()
    totals: dict[str, Tensor] = {}
    batches = epoch_batches(len(training.data.mean), train.batch, training.seed, epoch)
    for first in range(0, len(batches), train.accumulation):
        group = batches[first : first + train.accumulation]
        for number, rows in enumerate(group, start=first):
            batch = draw_batch(training, rows, epoch, number, acting)
            parts = batch_losses(training, batch, acting)
            loss = weighted_sum(parts, acting)
            (loss / len(group)).backward()
            for name, part in {"loss": loss, **{f"loss_{k}": v for k, v in parts.items()}}.items():
                totals[name] = totals.get(name, 0) + part.detach() / len(batches)
        norm = optimizer_step(training, epoch)
        totals["gradient_norm"] = totals.get("gradient_norm", 0) + norm
        progress(f"epoch {epoch}, {first + len(group)}/{len(batches)} batches")

    row: EpochRow = {name: float(total) for name, total in totals.items()}
    row["gradient_norm"] /= math.ceil(len(batches) / train.accumulation)
    row["epoch_seconds"] = time.perf_counter() - started
    for name, what in (("loss", "loss"), ("gradient_norm", "gradient's norm")):
        if math.isfinite(row[name]):
            continue
        raise RunError(
            f"the {what} of seed {training.seed} became {row[name]} in epoch {epoch}",
            where="train",
            fix="Lower train.learning_rate or the weight of the loss that grew; see the loss curves.",
        )
    training.history.append(row)
    training.epoch = epoch + 1


@dataclass(frozen=True)
class Batch:
    """What one forward pass needs, on the device. Latents are [B, C, h, w], scaled to unit variance."""

    compared: Tensor
    """Rows [K] of the images that LPIPS looks at; none before it acts."""
    images: Tensor
    """These images after augmentation, [K, 3, S, S] in [−1, 1]."""
    mean: Tensor
    std: Tensor
    """The posterior of the images' latents."""
    x0: Tensor
    """Latents drawn from it."""
    noise: Tensor
    t: Tensor
    """Timesteps [B]."""
    context: Tensor
    """Text states [B, L, D]."""


def draw_batch(training: Training, rows: Tensor, epoch: int, number: int, acting: Ingredients) -> Batch:
    """The images in ``rows`` as batch ``number`` of an epoch, with all its random draws."""
    draw = (training.seed, epoch, number)
    t = randomness.integers(training.process.timesteps, (len(rows),), *draw, "timestep")
    compared = torch.empty(0, dtype=torch.long)
    if lpips := acting.get("lpips"):
        below = lpips["timesteps"] * training.process.timesteps
        compared = losses.lpips_rows(t, below, lpips["images"], *draw)
    images, mean, std = draw_images(training, rows, compared, draw, acting)
    shape = tuple(mean.shape)
    send = training.send
    return Batch(
        compared=send(compared),
        images=images,
        mean=mean,
        std=std,
        x0=mean + std * send(randomness.normal(shape, *draw, "posterior")),
        noise=send(randomness.normal(shape, *draw, "noise")),
        t=send(t),
        context=training.take("states", training.caption_rows(rows, draw)),
    )


def draw_images(
    training: Training, rows: Tensor, compared: Tensor, draw: tuple[int, ...], acting: Ingredients
) -> tuple[Tensor, Tensor, Tensor]:
    """Those of a batch's images that are ``compared``, and mean and deviation of all its latents.

    Augmented as the configuration says: not at all, or to one of the forms in the cache, or anew, which
    alone takes the VAE.
    """
    take, augmentation = training.take, acting.get("augmentation")
    if augmentation and not augmentation["variants"]:
        images = AUGMENTATIONS[augmentation["kind"]](to_model(take("images", rows)), *draw)
        return images[training.send(compared)], *training.encode(images)
    kind, index = "", [rows]
    if augmentation:
        kind = "augmented "
        index.append(randomness.integers(augmentation["variants"], (len(rows),), *draw, "form"))
    mean, std = take(f"{kind}mean", *index), take(f"{kind}std", *index)
    if "lpips" not in acting:
        return torch.empty(0), mean, std
    return to_model(take(f"{kind}images", *(part[compared] for part in index))), mean, std


def batch_losses(training: Training, batch: Batch, acting: Ingredients) -> dict[str, Tensor]:
    """The losses that act on a batch, each a scalar with its graph: ``mse``, ``lpips``, ``kl``."""
    process, x0, t = training.process, batch.x0, batch.t
    x_t = process.noised(x0, batch.noise, t)
    with training.autocast():
        prediction = training.forward(x_t, t, encoder_hidden_states=batch.context).sample
    prediction = prediction.float()
    parts = {"mse": losses.noise_mse(prediction, process.target(x0, batch.noise, t))}
    if lpips := acting.get("lpips"):
        published = lpips["form"] == "as-published"
        with torch.set_grad_enabled(not published):
            predicted = (
                x_t - process.predicted_noise(prediction, x_t, t)
                if published
                else process.predicted_x0(prediction, x_t, t)
            )
            parts["lpips"] = losses.lpips(
                predicted[batch.compared],
                batch.images,
                training.decode,
                training.perceptual,
                of=min(lpips["images"] or len(t), len(t)),
                micro_batch=lpips["micro_batch"],
            )
    if kl := acting.get("kl"):
        if kl["form"] == "as-published":
            scale = training.vae.config.scaling_factor
            parts["kl"] = losses.posterior_kl(batch.mean / scale, batch.std / scale)
        else:
            parts["kl"] = losses.kl(process.predicted_x0(prediction, x_t, t), x0)
    return parts


def weighted_sum(parts: Mapping[str, Tensor], acting: Ingredients) -> Tensor:
    """The training loss: the noise MSE and each other loss with its weight."""
    others = (acting[name]["weight"] * part for name, part in parts.items() if name != "mse")
    return sum(others, start=parts["mse"])


def optimizer_step(training: Training, epoch: int) -> Tensor:
    """Clips the gradient, updates the weights and the averages; the gradient's norm before clipping."""
    train, parameters = training.config.train, training.weights.values()
    if train.clip == "before-step":
        norm = torch.nn.utils.clip_grad_norm_(parameters, train.gradient_clip or math.inf)
        training.optimizer.step()
    else:
        training.optimizer.step()
        norm = torch.nn.utils.clip_grad_norm_(parameters, train.gradient_clip or math.inf)
    training.optimizer.zero_grad(set_to_none=True)
    for observer in training.observers.values():
        observer.update(epoch, training.weights)
    return norm.detach()


def epoch_batches(images: int, batch: int, seed: int, epoch: int) -> list[Tensor]:
    """The images' rows in this epoch's order, in full batches (one smaller batch if there is none)."""
    order = randomness.permutation(images, seed, epoch, "order")
    return list(order[: max(images - images % batch, min(images, batch))].split(batch))


@dataclass
class Training:
    """A training at the beginning of an epoch: all that changes from step to step, and its data."""

    keys: RunKeys
    epoch: int
    unet: Any
    forward: Any
    """The U-Net as it is called: compiled, where the configuration asks for it."""
    optimizer: torch.optim.AdamW
    observers: Mapping[Observer, EmaObserver]
    data: Prepared
    cache: Mapping[str, Tensor]
    """What batches are made of, each tensor where it has room."""
    device: torch.device
    process: ForwardProcess
    history: list[EpochRow] = field(default_factory=list)
    _parts: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> Config:
        """The configuration of a run that stands on this training."""
        return self.keys.config

    @property
    def seed(self) -> int:
        """The training's seed."""
        return self.keys.seed

    @property
    def link(self) -> str:
        """K[epoch]."""
        return self.keys.chain[self.epoch]

    @classmethod
    def at(cls, epoch: int, keys: RunKeys, observers: Sequence[Observer], store: Store) -> Training:
        """The training as stored at link ``epoch``, or from its beginning for epoch 0."""
        config = keys.config
        device = devices.setup(config.compute)
        unet = placed_unet(config, keys.seed, device).train()
        if config.train.checkpointing:
            unet.enable_gradient_checkpointing()
        optimizer = torch.optim.AdamW(
            unet.parameters(),
            lr=config.train.learning_rate,
            weight_decay=config.train.weight_decay,
            fused=True,
        )
        training = cls(
            keys=keys,
            epoch=epoch,
            unet=unet,
            # Without benchmarks on the device: their outcome would choose the order of sums.
            forward=torch.compile(unet, options={"deterministic": True}) if config.train.compile else unet,
            optimizer=optimizer,
            observers={observer: EmaObserver(observer.decay, observer.start) for observer in observers},
            data=Prepared(store.path("prepare", keys.prepare)),
            cache=with_room(batch_sources(keys, store), device),
            device=device,
            process=ForwardProcess(**config.noise.model_dump()).to(device),
        )
        if epoch:
            training._restore(store)
        return training

    def _restore(self, store: Store) -> None:
        folder = store.path("train", self.link)
        self.unet.load_state_dict(load_file(folder / "unet.safetensors"))
        moments = load_file(folder / "optimizer.safetensors")
        for name, parameter in self.weights.items():
            self.optimizer.state[parameter] = {
                "step": moments[f"{name}|step"].to(self.device),
                "exp_avg": _like(parameter, moments[f"{name}|exp_avg"]),
                "exp_avg_sq": _like(parameter, moments[f"{name}|exp_avg_sq"]),
            }
        self.history = json.loads((folder / "state.json").read_text())["history"]
        for observer, average in self.observers.items():
            if self.epoch > observer.start:
                shadow = load_file(store.path("ema", observer.key(self.link)) / "shadow.safetensors")
                average.begin({name: _like(self.weights[name], tensor) for name, tensor in shadow.items()})

    def save(self, store: Store, *, kept: bool) -> None:
        """Stores the observers' averages, then the state: a stored state is a complete one."""
        link = self.link
        for observer, average in self.observers.items():
            if self.epoch > observer.start and not store.has("ema", observer.key(link)):
                with store.writing("ema", observer.key(link), {"link": link, **vars(observer)}) as folder:
                    save_file(_contiguous(average.shadow), folder / "shadow.safetensors")
        ingredients = {**self.keys.state_ingredients(self.epoch), "kept": kept}
        if store.has("train", link):
            if kept:
                store.relabel("train", link, ingredients)
            return
        moments = {
            f"{name}|{moment}": value
            for name, parameter in self.weights.items()
            for moment, value in self.optimizer.state[parameter].items()
        }
        with store.writing("train", link, ingredients) as folder:
            save_file(_contiguous(self.unet.state_dict()), folder / "unet.safetensors")
            save_file(_contiguous(moments), folder / "optimizer.safetensors")
            state = {"epoch": self.epoch, "history": self.history}
            (folder / "state.json").write_text(json.dumps(state))

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The U-Net's parameters by name: the same tensors as long as it is trained."""
        return dict(self.unet.named_parameters())

    def begin_observers(self, epoch: int) -> None:
        """Gives the observers that start now the weights they begin with."""
        for observer, average in self.observers.items():
            if epoch == observer.start:
                stale = observer.shadow == "initial" and epoch > 0
                initial = placed_unet(self.config, self.seed, self.device) if stale else self.unet
                average.begin(dict(initial.named_parameters()))

    def take(self, name: str, *index: Tensor) -> Tensor:
        """Rows of a cached tensor, on the device. They are gathered where it lies."""
        source = self.cache[name]
        return self.send(source[tuple(self.send(rows) if source.is_cuda else rows for rows in index)])

    def send(self, tensor: Tensor) -> Tensor:
        """A tensor on the device. The copy is made while the CPU goes on: nothing in a step waits."""
        if self.device.type == "cuda" and not tensor.is_cuda:
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)

    def caption_rows(self, rows: Tensor, draw: tuple[int, ...]) -> Tensor:
        """For each image one of its captions at random; row 0, the empty one, for dropped captions."""
        captions = self.data.captions
        choice = randomness.uniform((len(rows),), *draw, "caption").tolist()
        picked = [
            captions[row][int(u * len(captions[row]))] for row, u in zip(rows.tolist(), choice, strict=True)
        ]
        dropped = (
            randomness.uniform((len(rows),), *draw, "caption dropout") < self.config.train.caption_dropout
        )
        return torch.tensor(picked).masked_fill(dropped, 0)

    def autocast(self) -> Any:
        """bf16 matrix products where the configuration asks for them."""
        if self.config.train.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    @property
    def vae(self) -> Any:
        """The frozen VAE, loaded when a loss or an augmentation first needs it."""
        if "vae" not in self._parts:
            vae = VaePart(self.config.components.vae).load(str(self.device))
            self._parts["vae"] = vae.to(memory_format=layout(self.config))
        return self._parts["vae"]

    @property
    def perceptual(self) -> Any:
        """The frozen LPIPS distance."""
        if "perceptual" not in self._parts:
            part = self.config.components.perceptual
            self._parts["perceptual"] = PerceptualPart(part).load(str(self.device))
        return self._parts["perceptual"]

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] → images [B, 3, H, W] about in [−1, 1], with gradient, for the LPIPS loss."""
        with self.autocast():
            images: Tensor = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return images.float()

    @torch.no_grad()
    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images [B, 3, H, W] → mean and standard deviation of their latents."""
        scale = self.vae.config.scaling_factor
        posteriors = [
            self.vae.encode(some).latent_dist for some in images.split(batch_size(images.shape[-1]))
        ]
        means, stds = zip(*((each.mean * scale, each.std * scale) for each in posteriors), strict=True)
        return torch.cat(means), torch.cat(stds)


def initial_unet(config: Config, seed: int) -> Any:
    """The U-Net with the initial weights of ``seed``."""
    arguments = config.unet.model_dump(exclude={"latent_channels"})
    return build_unet(arguments, config.unet.latent_channels, seed)


def placed_unet(config: Config, seed: int, device: torch.device) -> Any:
    """``initial_unet`` on the device, in the memory layout of the training."""
    return initial_unet(config, seed).to(device, memory_format=layout(config))


def batch_sources(keys: RunKeys, store: Store) -> dict[str, Tensor]:
    """The tensors that the batches of a training are made of, mapped from the store, in the order in which
    a place on the device helps most.
    """
    config, data = keys.config, Prepared(store.path("prepare", keys.prepare))
    sources = {"mean": data.mean, "std": data.std, "states": data.states}
    if keys.augmented:
        forms = augmented(keys, store, progress=lambda text: None)
        sources |= {"augmented mean": forms.mean, "augmented std": forms.std}
    if config.losses.lpips or config.augmentation.kind != "none":
        sources["images"] = data.images
    if config.losses.lpips and keys.augmented:
        sources["augmented images"] = forms.images
    return sources


def with_room(sources: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """``sources`` with those on the GPU that fit, one after the other, into a quarter of its free memory."""
    if device.type != "cuda":
        return dict(sources)
    # What trainings before this one have left counts as taken until it is given back.
    gc.collect()
    torch.cuda.empty_cache()
    room = torch.cuda.mem_get_info(device)[0] // 4
    placed = {}
    for name, tensor in sources.items():
        fits = tensor.nbytes <= room
        placed[name] = tensor.to(device) if fits else tensor
        room -= tensor.nbytes if fits else 0
    return placed


def layout(config: Config) -> torch.memory_format:
    """The memory layout of weights."""
    return torch.channels_last if config.train.channels_last else torch.contiguous_format


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """In the layout of files, whatever that of the training is."""
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def _like(parameter: Tensor, stored: Tensor) -> Tensor:
    """Stored numbers on the parameter's device and in its layout, which fused kernels take for granted."""
    return torch.empty_like(parameter).copy_(stored)


def forget(keys: RunKeys, observers: Sequence[Observer], epoch: int, store: Store) -> None:
    """Removes the state at link ``epoch`` unless an experiment keeps it, and its averages."""
    link = keys.chain[epoch]
    if store.has("train", link) and not store.ingredients("train", link)["kept"]:
        store.remove("train", link)
        for observer in observers:
            store.remove("ema", observer.key(link))
