"""The text encoder and its tokenizer: captions to the states that condition the U-Net."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ablate.parts import messages
from ablate.parts.base import PretrainedPart, parameters, refuse_gaps, refuse_infinite
from ablate.parts.clip_vocabulary import clip_tokenizer
from ablate.parts.sources import HubFiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import CLIPTextModel, CLIPTokenizer

    from ablate.experiment.config import Components, Part
    from ablate.parts.sources import Source

REVISIONS = {"openai/clip-vit-base-patch32": "refs/pr/15"}
"""Where the weights of a repository are safetensors, if its main branch has a pickle only: the hub's own
conversion, which was never merged."""


OPENAI = ("openai/clip-vit-base-patch32", "openai/clip-vit-base-patch16", "openai/clip-vit-large-patch14")
"""Repositories with the one tokenizer that all of OpenAI's models have."""


class TextEncoderPart(PretrainedPart):
    """A transformers ``CLIPTextModel``."""

    field = "text_encoder"
    title = "text encoder"
    file_sets = (("config.json", "model.safetensors"),)

    def published(self) -> Source:
        """A repository of the hub, at the revision that has safetensors."""
        name = self.reference.source
        revision = REVISIONS.get(name, "main")
        return HubFiles(name, self.file_sets, self.reference.subfolder, revision)

    def load(self, device: str = "cpu") -> CLIPTextModel:
        """Token ids [N, L] → states [N, L, D]. Raises ComponentError if there is none."""
        folder = self.files()[0].parent
        import torch
        from transformers import CLIPTextModel

        with self.loading(), quiet_transformers():
            model, report = CLIPTextModel.from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True
            )
            refuse_gaps(report["missing_keys"])
            refuse_infinite(model)
        loaded: CLIPTextModel = model.to(device).eval().requires_grad_(False)
        return loaded

    def holds(self, components: Components) -> str:
        """Its parameters, if the tokenizer goes with it."""
        return parameters(load_text(components.text_encoder, components.tokenizer)[1])


class TokenizerPart(PretrainedPart):
    """A transformers ``CLIPTokenizer`` that goes with the text encoder."""

    field = "tokenizer"
    title = "tokenizer"
    file_sets = (
        ("tokenizer_config.json", "tokenizer.json"),
        ("tokenizer_config.json", "vocab.json", "merges.txt"),
    )

    def published(self) -> Source:
        """A repository of the hub; for those of OpenAI's CLIP what is on this machine anyway."""
        return clip_tokenizer() if self.reference.source in OPENAI else super().published()

    def load(self, device: str = "cpu") -> CLIPTokenizer:
        """Texts → token ids. Raises ComponentError if there is none."""
        folder = self.files()[0].parent
        from transformers import CLIPTokenizer

        with self.loading():
            loaded: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder)
        return loaded

    def holds(self, components: Components) -> str:
        """Its tokens, if it goes with the text encoder."""
        return f"{len(load_text(components.text_encoder, components.tokenizer)[0])} tokens"


def load_text(
    encoder_part: Part, tokenizer_part: Part, device: str = "cpu"
) -> tuple[CLIPTokenizer, CLIPTextModel]:
    """The tokenizer and the text encoder. Raises ComponentError if one is missing or they do not fit."""
    tokenizer_at = TokenizerPart(tokenizer_part)
    encoder = TextEncoderPart(encoder_part).load(device)
    tokenizer = tokenizer_at.load()
    # A tokenizer whose files are broken is not an error for transformers: it has only special tokens.
    if len(tokenizer) != encoder.config.vocab_size:
        raise messages.tokens_differ(len(tokenizer), encoder.config.vocab_size, tokenizer_at.shown)
    return tokenizer, encoder


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """A text encoder's weights often lie beside those of an image encoder, which are no news."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
