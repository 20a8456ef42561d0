"""The configuration of one variant: every field that can change a result, and what it means.

Profiles (``profiles/*.yaml``) give each field a value; an experiment's variants override a few of
them. Models are frozen and refuse unknown keys.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, create_model, model_validator

from ablate.errors import SpecError
from ablate.experiment.choices import choice, one_of, retyped
from ablate.experiment.schedulers import Scheduler
from ablate.factors import LR_SCHEDULES
from ablate.fields import FieldError, Fraction, Model, Positive, Seed
from ablate.plugins import plugin_of
from ablate.vocabulary import OWN, Vocabulary, vocabulary_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ablate.factors.augmentation import Augmentation
    from ablate.factors.base import Loss
    from ablate.factors.lr_schedule import LrSchedule
    from ablate.factors.observer import Observer
    from ablate.factors.weighting import Weighting
    from ablate.plugins import Plugin


def losses_of(losses: Mapping[str, type[Loss]]) -> type[Model]:
    """The section that holds those of ``losses`` that can be switched off."""
    fields: dict[str, Any] = {name: (loss | None, None) for name, loss in losses.items() if loss.field}
    about = "Losses beside the noise MSE, which is always there with weight 1. ``null``: off."
    return create_model("Losses", __base__=Model, __doc__=about, **fields)


if TYPE_CHECKING:
    Losses = Any
    AugmentationSection = Augmentation
    ObserverSection = Observer
    WeightingSection = Weighting
    LrScheduleSection = LrSchedule
    SpaceName = str
else:
    Losses = losses_of(OWN.losses)
    AugmentationSection = one_of(OWN.augmentations)
    ObserverSection = one_of(OWN.observers)
    WeightingSection = one_of(OWN.weightings)
    LrScheduleSection = one_of(LR_SCHEDULES)
    SpaceName = choice(OWN.spaces)


class Part(Model):
    """A pretrained part: a local folder, or a name that its library fetches from a hub."""

    source: str
    """Folder, hub id (``openai/clip-vit-base-patch32``) or a library's own name (``alex``)."""
    subfolder: str = ""
    """Where the part lies inside the source."""

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value


def kit_parts(folder: str) -> dict[str, dict[str, str]]:
    """The parts of a kit folder, which holds each of them under its own name."""
    names = (name for name, field in Components.model_fields.items() if field.is_required())
    return {part: {"source": folder, "subfolder": part} for part in names}


class Components(Model):
    """The frozen parts. A plain string names a kit folder that holds all of them."""

    vae: Part
    """diffusers ``AutoencoderKL``."""
    text_encoder: Part
    """The text encoder, from transformers: CLIP's."""
    tokenizer: Part
    """The tokenizer that goes with it, from transformers."""
    evaluator: Part
    """open_clip model for CLIP-I and CLIP-T: a folder, or ``architecture:weights``."""
    perceptual: Part
    """Backbone of the LPIPS loss: a folder, or ``alex``, ``vgg``, ``squeeze``."""
    inception: Part | None = None
    """``inception-2015-12-05.pt`` of ``evaluate.fid_features: inception``, or a folder that holds it;
    ``null``: the one that clean-fid downloads."""

    @model_validator(mode="before")
    @classmethod
    def _from_kit(cls, value: Any) -> Any:
        return kit_parts(value) if isinstance(value, str) else value


def _as_hex(value: Any) -> Any:
    """A colour as "#rrggbb": one colour has one key, however it is written."""
    if value is None:
        raise ValueError(
            "must be a colour: a name (white), or '#rrggbb' in quotes, because # begins a comment"
        )
    if not isinstance(value, str) or value == WHITE:
        return value
    if value == "white":  # the usual one: importing Pillow takes a twentieth of a second
        return WHITE
    from PIL import ImageColor

    try:
        channels: tuple[int, ...] = ImageColor.getrgb(value)
    except ValueError:
        channels = ()
    if len(channels) != 3:
        raise ValueError("must be a colour without transparency: a name (white) or '#rrggbb'")
    return "#" + bytes(channels).hex()


WHITE = "#ffffff"
Colour = Annotated[str, BeforeValidator(_as_hex)]
"""A colour's name in Pillow's words, or "#rrggbb", which it becomes."""


class Data(Model):
    """Captioned images."""

    path: str
    """A folder of captioned images, in one of the formats of docs/own-images.md; ``hub:owner/name`` for a
    data set of the hub; ``sprites`` is the embedded set."""
    size: Annotated[int, Field(ge=8, le=4096)]
    """Edge of the square training images, in pixels."""
    fit: Literal["pad", "crop"] = "pad"
    """How an image that is not square becomes one: ``pad`` adds ``background`` at its shorter sides, ``crop``
    keeps the middle."""
    background: Colour = WHITE
    """What padding and transparency become: a colour's name, or ``'#rrggbb'`` in quotes."""

    def not_default(self) -> dict[str, str]:
        """Of ``fit`` and ``background``, those that a key has to hold."""
        return self.model_dump(include={"fit", "background"}, exclude_defaults=True)


class UNet(Model):
    """Arguments of diffusers ``UNet2DConditionModel`` (input: latents, condition: text states)."""

    sample_size: Positive
    """Edge of the latents: image size / 2^(VAE levels − 1)."""
    latent_channels: Positive = 4
    layers_per_block: Positive
    block_out_channels: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)]
    down_block_types: Annotated[
        tuple[Literal["DownBlock2D", "CrossAttnDownBlock2D"], ...], Field(strict=False)
    ]
    up_block_types: Annotated[tuple[Literal["UpBlock2D", "CrossAttnUpBlock2D"], ...], Field(strict=False)]
    cross_attention_dim: Positive
    """Width of the text encoder's states."""
    attention_head_dim: Positive = 8
    norm_num_groups: Positive = 32
    resnet_time_scale_shift: Literal["default", "scale_shift"] = "default"
    """How the time embedding enters a block: added, or as scale and shift after the norm."""
    addition_embed_type: Literal["text"] | None = None
    """``text``: the text states, pooled by attention, are also added to the time embedding."""
    addition_embed_type_num_heads: Positive = 8

    @model_validator(mode="after")
    def _blocks_agree(self) -> Self:
        widths, down, up = self.block_out_channels, self.down_block_types, self.up_block_types
        if not len(widths) == len(down) == len(up):
            raise FieldError(
                f"block_out_channels, down_block_types and up_block_types need one entry per block, "
                f"but have {len(widths)}, {len(down)} and {len(up)}",
                "block_out_channels",
                "down_block_types",
                "up_block_types",
            )
        if uneven := [width for width in widths if width % self.norm_num_groups]:
            raise FieldError(
                f"block_out_channels {uneven[0]} is not a multiple of norm_num_groups {self.norm_num_groups}",
                "block_out_channels",
                "norm_num_groups",
            )
        if self.sample_size % 2 ** (len(widths) - 1):
            raise FieldError(
                f"sample_size {self.sample_size} is not a multiple of {2 ** (len(widths) - 1)}: "
                f"it is halved between each two of {len(widths)} blocks",
                "sample_size",
                "block_out_channels",
            )
        return self


class Betas(Model):
    """A noise schedule: β over ``timesteps`` (Ho et al. 2020, eq. 2–4)."""

    timesteps: Positive = 1000
    schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"] = "scaled_linear"
    beta_start: Annotated[float, Field(gt=0, lt=1)] = 0.00085
    beta_end: Annotated[float, Field(gt=0, lt=1)] = 0.012


class Noise(Betas):
    """The noise schedule of training, and what is predicted."""

    prediction: Literal["epsilon", "v_prediction"] = "epsilon"
    """What the U-Net predicts: the noise, or the velocity (Salimans & Ho 2022)."""


class Train(Model):
    """The optimization, AdamW throughout."""

    epochs: Positive
    batch: Positive
    """Images per forward pass."""
    accumulation: Positive = 1
    """Batches per optimizer step."""
    learning_rate: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.01
    gradient_clip: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = 1.0
    """Largest norm of the whole gradient; ``null`` for none."""
    clip: Literal["before-step", "after-step"] = "before-step"
    """When the gradient is clipped. ``after-step`` is the published code's order, which has no effect."""
    caption_dropout: Fraction = 0.1
    """Share of captions replaced by the empty one (classifier-free guidance, Ho & Salimans 2021)."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Type of the matrix products of the U-Net, and of LPIPS' decoder; weights and losses stay fp32."""
    checkpointing: bool = False
    """Computes the U-Net's activations again in the backward pass: less memory, a quarter more work."""
    channels_last: bool = False
    """Keeps the channels of a pixel side by side, as a GPU's convolutions read them."""
    devices: Annotated[int, Field(ge=1, le=64)] = 1
    """GPUs of this machine that each training uses, or processes on a CPU. Each predicts its share of every
    batch, so the loss curve is that of one device, up to the order of sums."""
    compile: bool = False
    """``torch.compile`` of the U-Net: a minute at the start of each training, faster steps on a GPU."""

    @model_validator(mode="after")
    def _batch_can_be_shared(self) -> Self:
        if self.batch % self.devices:
            raise FieldError(
                f"batch {self.batch} is not a multiple of devices {self.devices}, which share it evenly",
                "batch",
                "devices",
            )
        return self


class Sample(Model):
    """How images are drawn from a trained model."""

    scheduler: Scheduler = "DPMSolverMultistepScheduler"
    """Class name of the diffusers scheduler."""
    options: dict[str, Any] = {}
    """Further constructor arguments of the scheduler."""
    steps: Positive
    guidance: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Classifier-free guidance scale; 1 switches it off."""
    batch: Positive
    """Prompts per forward pass. An image does not depend on it."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Type of the matrix products of U-Net and VAE in sampling."""
    compile: bool = False
    """``torch.compile`` of the U-Net."""
    noise: Betas | None = None
    """Noise schedule of sampling where it differs from that of training; ``null``: the same."""
    weights: Literal["ema", "current"] = "ema"
    """Where an EMA is kept: whether its average is sampled, or the weights themselves."""
    seed: Seed | None = None
    """Seed of the sampling noise; ``null``: the run's own."""


class Evaluate(Model):
    """What the samples are measured with."""

    fid_features: SpaceName = "evaluator"
    """Feature space of FID and KID: the evaluator's embeddings, or clean-fid's Inception."""
    reference: Literal["test", "train"] = "test"
    """Real images that FID and KID compare with."""


class Track(Model):
    """What is recorded beside the results. Changes no result."""

    preview_every: Annotated[int, Field(ge=0)] = 0
    """Epochs between preview images; 0 for none."""
    preview_prompts: Positive = 8


class Compute(Model):
    """Where it runs."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """CPU threads of each worker. Fixed, not taken from the machine, because the number of threads
    changes the last bits of sums; more workers use more cores."""
    gpus: Annotated[float, Field(gt=0, le=64, allow_inf_nan=False)] = 1.0
    """With ``--executor ray``, GPUs of each task; with 0.25, four tasks share one. In no key: results do
    not depend on it."""


class Config(Model):
    """One variant, fully resolved."""

    vocabulary: ClassVar[Vocabulary] = OWN
    """What its fields may name."""

    components: Components
    data: Data
    unet: UNet
    noise: Noise
    train: Train
    lr_schedule: LrScheduleSection | None
    """The learning rate over the training; ``null``: constant."""
    losses: Losses
    weighting: WeightingSection | None
    """Weight of each timestep in the noise MSE; ``null``: 1."""
    augmentation: AugmentationSection
    ema: ObserverSection | None
    """``null``: sample from the weights themselves."""
    sample: Sample
    evaluate: Evaluate
    track: Track
    compute: Compute

    @classmethod
    def kinds(cls) -> dict[str, Mapping[str, type[Model]]]:
        """Section → its kinds, of the sections that have a field ``kind``."""
        words = cls.vocabulary
        return {
            "lr_schedule": LR_SCHEDULES,
            "weighting": words.weightings,
            "augmentation": words.augmentations,
            "ema": words.observers,
        }

    @property
    def sampling_noise(self) -> dict[str, Any]:
        """The fields of the noise that sampling assumes: training's, where ``sample.noise`` has no other."""
        return self.noise.model_dump() | (self.sample.noise.model_dump() if self.sample.noise else {})


class _WithPlugins(Config):
    """A configuration with fields of plug-ins: a class that a worker has to make again."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.vocabulary.plugins, self.model_dump_json())


def _unpickled(plugins: tuple[Plugin, ...], text: str) -> Config:
    return config_model(vocabulary_of(plugins)).model_validate_json(text)


def _refuse_unknown_parts(vocabulary: Vocabulary) -> None:
    """Raises SpecError if a class of a plug-in needs a part that no configuration has."""
    rows = (vocabulary.losses, vocabulary.weightings, vocabulary.augmentations, vocabulary.observers)
    needed: list[tuple[type, str]] = [
        (kind, part) for kinds in rows for kind in kinds.values() for part in kind.parts
    ]
    needed += [(kind, kind.part) for kind in vocabulary.spaces.values() if kind.part]
    for kind, part in needed:
        if part not in Components.model_fields and (plugin := plugin_of(kind)):
            what = f"{kind.__name__} needs a part {part!r}, and there is no such part"
            raise SpecError(what, where=plugin.path, fix=f"There are {', '.join(Components.model_fields)}.")


@cache
def config_model(vocabulary: Vocabulary) -> type[Config]:
    """``Config`` with the fields and choices that a vocabulary has.

    Raises:
        SpecError: a plug-in needs a part that does not exist.
    """
    if vocabulary is OWN:
        return Config
    _refuse_unknown_parts(vocabulary)
    evaluate = retyped(Evaluate, fid_features=choice(vocabulary.spaces))
    model = retyped(
        Config,
        _WithPlugins,
        losses=losses_of(vocabulary.losses),
        weighting=one_of(vocabulary.weightings) | None,
        augmentation=one_of(vocabulary.augmentations),
        ema=one_of(vocabulary.observers) | None,
        evaluate=evaluate,
    )
    model.vocabulary = vocabulary
    return model
