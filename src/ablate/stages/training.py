"""The state of a training: its weights, optimizer, averages and data, stored as ``trained.py`` says."""

from __future__ import annotations

import gc
import json
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from ablate import factors
from ablate.diffusion.schedule import ForwardProcess
from ablate.diffusion.unet import build_unet
from ablate.factors.base import Loss
from ablate.parts import PARTS
from ablate.stages import device as devices
from ablate.stages.prepare import augmented, batch_size
from ablate.stages.prepared import Prepared
from ablate.stages.ranks import ALONE, Ranks
from ablate.stages.trained import AVERAGE, MOMENTS, Trained, observer_ingredients, observer_key
from ablate.stages.unchanged import refuse_other_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from ablate.experiment.config import Config
    from ablate.factors.observer import Observer, Weights
    from ablate.records import EpochRow
    from ablate.stages.keys import RunKeys
    from ablate.store import Store


@dataclass
class Training:
    """A training at the beginning of an epoch: all that changes from step to step, and its data."""

    keys: RunKeys
    epoch: int
    unet: Any
    forward: Any
    """The U-Net as it is called: compiled, where the configuration asks for it."""
    optimizer: torch.optim.AdamW
    observers: Sequence[Observer]
    data: Prepared
    cache: Mapping[str, Tensor]
    """What batches are made of, each tensor where it has room."""
    device: torch.device
    process: ForwardProcess
    frozen: Frozen
    """The frozen parts that losses and augmentation use."""
    averages: dict[Observer, dict[str, Tensor]] = field(default_factory=dict)
    """The state of each observer that has begun."""
    history: list[EpochRow] = field(default_factory=list)
    ranks: Ranks = ALONE
    """The processes that train together."""

    @property
    def config(self) -> Config:
        """The configuration of a run that uses this training."""
        return self.keys.config

    @property
    def seed(self) -> int:
        """The training's seed."""
        return self.keys.seed

    @property
    def state_key(self) -> str:
        """K[epoch]."""
        return self.keys.chain[self.epoch]

    @classmethod
    def at(
        cls, epoch: int, keys: RunKeys, observers: Sequence[Observer], store: Store, ranks: Ranks = ALONE
    ) -> Training:
        """The training as stored at K[``epoch``], or from its beginning for epoch 0."""
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
        data = Prepared(store.fetched("prepare", keys.prepare))
        training = cls(
            keys=keys,
            epoch=epoch,
            unet=unet,
            # Without benchmarks on the device: their outcome would choose the order of sums.
            forward=torch.compile(unet, options={"deterministic": True}) if config.train.compile else unet,
            optimizer=optimizer,
            observers=observers,
            data=data,
            cache=with_room(batch_sources(keys, data, store), device),
            device=device,
            process=ForwardProcess(**config.noise.model_dump()).to(device),
            frozen=Frozen(config, device, check=partial(refuse_other_parts, keys, store)),
            ranks=ranks,
        )
        if epoch:
            training._restore(store)
        return training

    def _restore(self, store: Store) -> None:
        stored = Trained(store.path("train", self.state_key))
        self.unet.load_state_dict(load_file(stored.weights))
        moments = load_file(store.path("moments", self.state_key) / MOMENTS)
        for name, parameter in self.weights.items():
            self.optimizer.state[parameter] = {
                "step": moments[f"{name}|step"].to(self.device),
                "exp_avg": _like(parameter, moments[f"{name}|exp_avg"]),
                "exp_avg_sq": _like(parameter, moments[f"{name}|exp_avg_sq"]),
            }
        self.history = stored.history
        for observer in self.observers:
            if self.epoch > observer.begins:
                average = load_file(store.path("ema", observer_key(observer, self.state_key)) / AVERAGE)
                self.averages[observer] = {name: self._placed(name, t) for name, t in average.items()}

    def save(self, store: Store) -> None:
        """Stores the observers' averages and the optimizer's moments, then the state: a stored state is a
        complete one, until its moments are cleared away. What is there already and sound stays."""
        state_key = self.state_key
        store.use("prepare", self.keys.prepare)  # before an upload makes room in the cache
        if self.keys.augmented:
            store.use("augmented", self.keys.augmented)
        for observer, average in self.averages.items():
            key = observer_key(observer, state_key)
            if not store.sound("ema", key):
                with store.writing("ema", key, observer_ingredients(observer, state_key)) as folder:
                    save_file(_contiguous(average), folder / AVERAGE)
        if not store.sound("moments", state_key):
            moments = {
                f"{name}|{moment}": value
                for name, parameter in self.weights.items()
                for moment, value in self.optimizer.state[parameter].items()
            }
            with store.writing("moments", state_key, {"state": state_key}) as folder:
                save_file(_contiguous(moments), folder / MOMENTS)
        if not store.sound("train", state_key):
            with store.writing("train", state_key, self.keys.state_ingredients(self.epoch)) as folder:
                stored = Trained(folder)
                save_file(_contiguous(self.unet.state_dict()), stored.weights)
                stored.state.write_text(json.dumps({"epoch": self.epoch, "history": self.history}))

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The U-Net's parameters by name: the same tensors as long as it is trained."""
        return dict(self.unet.named_parameters())

    def begin_observers(self, epoch: int) -> None:
        """Shows the weights to the observers that begin now."""
        initial = self.initial_weights if epoch else lambda: self.weights
        for observer in self.observers:
            if epoch == observer.begins:
                self.averages[observer] = observer.begin(self.weights, initial)

    def initial_weights(self) -> Weights:
        """The U-Net's parameters at the beginning of the training, by name."""
        return dict(placed_unet(self.config, self.seed, self.device).named_parameters())

    def _placed(self, name: str, stored: Tensor) -> Tensor:
        """A tensor of an observer on the device, as the weight of its name lies in memory."""
        return _like(self.weights[name], stored) if name in self.weights else stored.to(self.device)

    def take(self, name: str, *index: Tensor) -> Tensor:
        """Rows of a cached tensor, on the device. They are gathered where it lies."""
        source = self.cache[name]
        return self.send(source[tuple(self.send(rows) if source.is_cuda else rows for rows in index)])

    def send(self, tensor: Tensor) -> Tensor:
        """A tensor on the device. The copy is made while the CPU goes on: nothing in a step waits."""
        if self.device.type == "cuda" and not tensor.is_cuda:
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)

    def autocast(self) -> Any:
        """bf16 matrix products where the configuration asks for them."""
        return autocast(self.config, self.device)

    @torch.no_grad()
    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images [B, 3, H, W] → mean and standard deviation of their latents."""
        vae = self.frozen.vae
        scale = vae.config.scaling_factor
        posteriors = [vae.encode(some).latent_dist for some in images.split(batch_size(images.shape[-1]))]
        means, stds = zip(*((each.mean * scale, each.std * scale) for each in posteriors), strict=True)
        return torch.cat(means), torch.cat(stds)


@dataclass
class Frozen:
    """The frozen parts of a configuration, each loaded when a loss or an augmentation first needs it."""

    config: Config
    device: torch.device
    loaded: dict[Any, Any] = field(default_factory=dict)
    """What is loaded: others that are given the same dict need not load it again."""
    check: Callable[[str], None] = lambda name: None
    """Called with the field of each part that has been loaded."""

    @property
    def vae(self) -> Any:
        """diffusers' ``AutoencoderKL``."""
        return self._load("vae", layout(self.config))

    def part(self, name: str) -> Any:
        """The part of ``components.<name>``, on the device."""
        return self._load(name)

    def _load(self, name: str, memory_format: torch.memory_format | None = None) -> Any:
        part = PARTS[name].named(self.config)
        assert part, f"a factor needs components.{name}, and the configuration names none"
        key = (part, self.device, memory_format)
        if key not in self.loaded:
            loaded = part.load(str(self.device))
            self.check(name)
            self.loaded[key] = loaded.to(memory_format=memory_format) if memory_format else loaded
        return self.loaded[key]

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] → images [B, 3, H, W] about in [−1, 1], with gradient."""
        with autocast(self.config, self.device):
            images: Tensor = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return images.float()


def initial_unet(config: Config, seed: int) -> Any:
    """The U-Net with the initial weights of ``seed``."""
    arguments = config.unet.model_dump(exclude={"latent_channels"})
    return build_unet(arguments, config.unet.latent_channels, seed)


def weights_size(config: Config) -> int:
    """Bytes of a U-Net's weights, counted without memory. AdamW's moments are twice that."""
    with torch.device("meta"):
        unet = initial_unet(config, seed=0)
    return int(sum(weight.nbytes for weight in unet.parameters()))


def placed_unet(config: Config, seed: int, device: torch.device) -> Any:
    """``initial_unet`` on the device, in the memory layout of the training."""
    return initial_unet(config, seed).to(device, memory_format=layout(config))


def batch_sources(keys: RunKeys, data: Prepared, store: Store) -> dict[str, Tensor]:
    """The tensors that the batches of a training on ``data`` are made of, mapped from the store, in the order
    in which a place on the device helps most.
    """
    config = keys.config
    sources = {"mean": data.mean, "std": data.std, "states": data.states}
    if keys.augmented:
        forms = augmented(keys, store, progress=lambda text: None)
        sources |= {"augmented mean": forms.mean, "augmented std": forms.std}
    switched_on = factors.switched_on(config)
    compared = any(isinstance(f, Loss) and f.looks_at_images for f in switched_on.values())
    if compared or "augmentation" in switched_on:
        sources["images"] = data.images
    if compared and keys.augmented:
        sources["augmented images"] = forms.images
    return sources


def with_room(sources: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """``sources`` with those on the GPU that fit, one after the other, into a quarter of its free memory."""
    if device.type != "cuda":
        return dict(sources)
    # What earlier training runs left behind counts as taken until it is given back.
    gc.collect()
    torch.cuda.empty_cache()
    room = torch.cuda.mem_get_info(device)[0] // 4
    placed = {}
    for name, tensor in sources.items():
        fits = tensor.nbytes <= room
        placed[name] = tensor.to(device) if fits else tensor
        room -= tensor.nbytes if fits else 0
    return placed


def autocast(config: Config, device: torch.device) -> Any:
    """bf16 matrix products where the configuration asks for them."""
    return torch.autocast(device.type, torch.bfloat16) if config.train.precision == "bf16" else nullcontext()


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
    """Removes the state K[``epoch``] unless it is marked as kept, its moments and its averages."""
    state_key = keys.chain[epoch]
    if not store.kept("train", state_key):
        store.remove("train", state_key)
        store.remove("moments", state_key)
        for observer in observers:
            store.remove("ema", observer_key(observer, state_key))
