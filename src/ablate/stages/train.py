"""Stage train: a stretch of the training chain, one stored state per link.

``train/<K[e]>/`` holds the state at the beginning of epoch e:
    unet.safetensors       the weights
    optimizer.safetensors  AdamW's moments and step counts
    state.json             epoch, digest of the weights, the history of all epochs before
``ema/<key>/shadow.safetensors`` holds one observer's average at one link.
"""

from __future__ import annotations

import json
import math
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from ablate import components
from ablate.diffusion import losses, randomness
from ablate.diffusion.augment import AUGMENTATIONS
from ablate.diffusion.ema import EmaObserver
from ablate.diffusion.schedule import ForwardProcess
from ablate.diffusion.unet import build_unet
from ablate.errors import RunError
from ablate.keys import active, newest_stored_link
from ablate.stages import device as devices
from ablate.stages.prepare import Prepared, to_model

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
) -> None:
    """Trains from the newest stored link up to link ``end`` and stores the state at each link.

    Args:
        keys: those of any run that stands on this stretch.
        observers: the EMA settings of all runs that stand on it.
        begin: the link at which the stretch leaves its parent; it and ``end`` are kept, the links
            between only until the next one is stored.
        on_epoch: called after each stored epoch.

    Raises:
        RunError: the loss is no longer finite.
    """
    with store.lock(f"train-{keys.chain[min(begin + 1, end)]}"):
        newest = newest_stored_link(keys.chain, observers, end, store)
        for epoch in range(begin + 1, newest):
            forget(keys, observers, epoch, store)  # left by a process killed between two links
        training = Training.at(newest, keys, observers, store)
        for epoch in range(training.epoch, end):
            train_epoch(training, epoch)
            training.save(store, kept=False)
            if epoch > begin:  # K[begin] belongs to the stretch before
                forget(keys, observers, epoch, store)
            on_epoch(training)
        training.save(store, kept=True)


def train_epoch(training: Training, epoch: int) -> None:
    """One epoch: the loop that everything else is about.

    Each draw is made from (seed, epoch, batch, purpose), so this epoch is the same whether the
    training started before it or at it.
    """
    train, acting = training.config.train, active(training.config, epoch, perceptual="")
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

    row: EpochRow = {name: float(total) for name, total in totals.items()}
    row["gradient_norm"] /= math.ceil(len(batches) / train.accumulation)
    row["epoch_seconds"] = time.perf_counter() - started
    if not math.isfinite(row["loss"]):
        raise RunError(
            f"the loss of seed {training.seed} became {row['loss']} in epoch {epoch}",
            where="train",
            fix="Lower train.learning_rate or the weight of the loss that grew; see the loss curves.",
        )
    training.history.append(row)
    training.epoch = epoch + 1


@dataclass(frozen=True)
class Batch:
    """What one forward pass needs, on the device. Latents are [B, C, h, w], scaled to unit variance."""

    images: Tensor
    """The images after augmentation, [B, 3, S, S] in [−1, 1]; empty where nothing needs them."""
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
    data, device = training.data, training.device
    draw = (training.seed, epoch, number)
    augment = AUGMENTATIONS.get(acting.get("augmentation", "none"))
    images = to_model(data.images[rows]).to(device) if augment or "lpips" in acting else torch.empty(0)
    if augment:
        images = augment(images, *draw)
        mean, std = training.encode(images)
    else:
        mean, std = data.mean[rows].to(device), data.std[rows].to(device)
    shape = tuple(mean.shape)
    return Batch(
        images=images,
        mean=mean,
        std=std,
        x0=mean + std * randomness.normal(shape, *draw, "posterior").to(device),
        noise=randomness.normal(shape, *draw, "noise").to(device),
        t=randomness.integers(training.process.timesteps, (len(rows),), *draw, "timestep").to(device),
        context=data.states[training.caption_rows(rows, draw)].to(device),
    )


def batch_losses(training: Training, batch: Batch, acting: Ingredients) -> dict[str, Tensor]:
    """The losses that act on a batch, each a scalar with its graph: ``mse``, ``lpips``, ``kl``."""
    process, x0, t = training.process, batch.x0, batch.t
    x_t = process.noised(x0, batch.noise, t)
    with training.autocast():
        prediction = training.unet(x_t, t, encoder_hidden_states=batch.context).sample
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
            parts["lpips"] = losses.lpips(predicted, batch.images, training.decode, training.perceptual)
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
    train, parameters = training.config.train, training.unet.parameters()
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
    optimizer: torch.optim.AdamW
    observers: Mapping[Observer, EmaObserver]
    data: Prepared
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
        unet = initial_unet(config, keys.seed).to(device)
        optimizer = torch.optim.AdamW(
            unet.parameters(),
            lr=config.train.learning_rate,
            weight_decay=config.train.weight_decay,
            fused=True,
        )
        training = cls(
            keys=keys,
            epoch=epoch,
            unet=unet.train(),
            optimizer=optimizer,
            observers={observer: EmaObserver(observer.decay, observer.start) for observer in observers},
            data=Prepared(store.path("prepare", keys.prepare)),
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
        for name, parameter in self.unet.named_parameters():
            self.optimizer.state[parameter] = {
                moment: moments[f"{name}|{moment}"].to(self.device)
                for moment in ("step", "exp_avg", "exp_avg_sq")
            }
        self.history = json.loads((folder / "state.json").read_text())["history"]
        for observer, average in self.observers.items():
            if self.epoch > observer.start:
                shadow = load_file(store.path("ema", observer.key(self.link)) / "shadow.safetensors")
                average.begin({name: tensor.to(self.device) for name, tensor in shadow.items()})

    def save(self, store: Store, *, kept: bool) -> None:
        """Stores the observers' averages, then the state: a stored state is a complete one."""
        link = self.link
        for observer, average in self.observers.items():
            if self.epoch > observer.start and not store.has("ema", observer.key(link)):
                with store.writing("ema", observer.key(link), {"link": link, **vars(observer)}) as folder:
                    save_file(average.shadow, folder / "shadow.safetensors")
        ingredients = {**self.keys.state_ingredients(self.epoch), "kept": kept}
        if store.has("train", link):
            if kept:
                store.relabel("train", link, ingredients)
            return
        moments = {
            f"{name}|{moment}": value.contiguous()
            for name, parameter in self.unet.named_parameters()
            for moment, value in self.optimizer.state[parameter].items()
        }
        with store.writing("train", link, ingredients) as folder:
            save_file(self.unet.state_dict(), folder / "unet.safetensors")
            save_file(moments, folder / "optimizer.safetensors")
            state = {"epoch": self.epoch, "history": self.history}
            (folder / "state.json").write_text(json.dumps(state))

    @property
    def weights(self) -> dict[str, Tensor]:
        """The U-Net's parameters by name."""
        return dict(self.unet.named_parameters())

    def begin_observers(self, epoch: int) -> None:
        """Gives the observers that start now the weights they begin with."""
        for observer, average in self.observers.items():
            if epoch == observer.start:
                stale = observer.shadow == "initial" and epoch > 0
                average.begin(
                    dict(initial_unet(self.config, self.seed).to(self.device).named_parameters())
                    if stale
                    else self.weights
                )

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
            self._parts["vae"] = components.load_vae(self.config.components.vae, str(self.device))
        return self._parts["vae"]

    @property
    def perceptual(self) -> Any:
        """The frozen LPIPS distance."""
        if "perceptual" not in self._parts:
            part = self.config.components.perceptual
            self._parts["perceptual"] = components.load_perceptual(part, str(self.device))
        return self._parts["perceptual"]

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] → images [B, 3, H, W] about in [−1, 1], with gradient."""
        images: Tensor = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return images

    @torch.no_grad()
    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images [B, 3, H, W] → mean and standard deviation of their latents."""
        posterior = self.vae.encode(images).latent_dist
        scale = self.vae.config.scaling_factor
        return posterior.mean * scale, posterior.std * scale


def initial_unet(config: Config, seed: int) -> Any:
    """The U-Net with the initial weights of ``seed``."""
    arguments = config.unet.model_dump(exclude={"latent_channels"})
    return build_unet(arguments, config.unet.latent_channels, seed)


def forget(keys: RunKeys, observers: Sequence[Observer], epoch: int, store: Store) -> None:
    """Removes the state at link ``epoch`` unless an experiment keeps it, and its averages."""
    link = keys.chain[epoch]
    if store.has("train", link) and not store.ingredients("train", link)["kept"]:
        store.remove("train", link)
        for observer in observers:
            store.remove("ema", observer.key(link))
