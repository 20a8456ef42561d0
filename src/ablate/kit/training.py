"""What the kit's four training runs share: seeding, the optimizer's schedule, and progress."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Course:
    """How long a part is trained, from which seed, and who is told (step, steps, loss) now and then."""

    steps: int
    seed: int
    tell: Callable[[int, int, float], None]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within, torch's global generator starts at ``seed``; afterwards it is as it was before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def optimize(
    next_loss: Callable[[], torch.Tensor],
    parameters: list[torch.nn.Parameter],
    course: Course,
    *,
    lr: float,
    weight_decay: float = 0.0,
) -> None:
    """AdamW on ``next_loss()``: 5 % warm-up, cosine decay to 0, clipping at norm 1."""
    steps = course.steps
    optimizer = torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.99), weight_decay=weight_decay)
    warmup = max(1, steps // 20)
    for step in range(steps):
        progress = max(0.0, (step - warmup) / max(1, steps - warmup))
        factor = min(1.0, (step + 1) / warmup) * 0.5 * (1.0 + math.cos(math.pi * progress))
        for group in optimizer.param_groups:
            group["lr"] = lr * factor
        optimizer.zero_grad(set_to_none=True)
        loss = next_loss()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % 50 == 0 or step == steps - 1:
            course.tell(step + 1, steps, loss.item())
