"""Several processes that train one network together, each on a GPU of its own: torch.distributed.

Each draws the whole batch by its address, lets the U-Net predict its part of it, and gets the others'
predictions. So every loss sees the whole batch, and the loss is that of one process. The gradients are
summed before each step, in one piece that is the same in every step. (DistributedDataParallel arranges its
pieces anew after the first step, so with three and more processes the last bits of a training would depend on
where it was interrupted.)
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
import time
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed

from ablate.errors import AblateError, RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from multiprocessing.context import SpawnProcess

    from torch import Tensor

STOP = -1
"""What the others are told in the place of an epoch."""
PATIENCE = timedelta(days=30)
"""The others wait while the first stores a state, draws a preview, or waits for another command."""

LEAVE = 10.0
"""Seconds in which the others end by themselves."""


@dataclass(frozen=True)
class Ranks:
    """The processes that train together, as one of them sees them."""

    rank: int = 0
    """Number of this process. The first alone reads and writes what is stored of the training."""
    count: int = 1

    def part(self, images: int) -> slice:
        """The images of a batch that this process predicts. Raises RunError if there are no equal shares."""
        if images % self.count:
            raise RunError(
                f"a batch of {images} images cannot be shared evenly by {self.count} processes",
                where="train.devices",
                fix="There are fewer images than train.batch: set train.devices=1, or a smaller batch.",
            )
        share = images // self.count
        return slice(self.rank * share, (self.rank + 1) * share)

    def gathered(self, own: Tensor) -> Tensor:
        """The predictions of all, in the order of the batch; only its own have a graph."""
        if self.count == 1:
            return own
        parts = [torch.empty_like(own) for _ in range(self.count)]
        distributed.all_gather(parts, own.detach().contiguous())
        parts[self.rank] = own
        return torch.cat(parts)

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Gives each process the whole gradient."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        for gradient, whole in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(whole.view_as(gradient))

    def told(self, epoch: int = STOP) -> int:
        """The epoch that the first process has come to; ``epoch`` is what it says itself."""
        if self.count == 1:
            return epoch
        number = torch.tensor(epoch)
        distributed.broadcast(number, src=0)
        return int(number)


ALONE = Ranks()
"""One process."""


@contextmanager
def together(count: int, device: str, follow: Callable[..., None], *arguments: Any) -> Iterator[Ranks]:
    """This process as the first of ``count``. The others call ``follow(*arguments, ranks)`` and end with the
    block, or with this process.

    Raises:
        RunError: there are fewer GPUs, or one of the others has failed, with its reason.
    """
    if count == 1:
        yield ALONE
        return
    if device == "cuda" and torch.cuda.device_count() < count:
        raise RunError(
            f"it takes {count} GPUs, and this process sees {torch.cuda.device_count()}",
            where="train.devices",
            fix="Set train.devices to what there is: it is part of the keys, and changes the last bits.",
        )
    with tempfile.TemporaryDirectory(prefix="ablate-ranks-") as folder:
        context = multiprocessing.get_context("spawn")
        others = [
            context.Process(
                target=_other,
                args=(Path(folder), Ranks(rank, count), device, os.getpid(), follow, arguments),
                daemon=True,
            )
            for rank in range(1, count)
        ]
        for process in others:
            process.start()
        try:
            _join(Path(folder), Ranks(0, count), device)
            yield Ranks(0, count)
            Ranks(0, count).told(STOP)
            for process in others:
                process.join(timeout=LEAVE)
        except AblateError:
            raise
        except Exception as error:
            if reason := _reason(Path(folder), others):
                raise RunError(reason, where="train.devices") from error
            raise
        finally:
            for process in others:
                process.kill()
                process.join()
            if distributed.is_initialized():
                distributed.destroy_process_group()


def _join(folder: Path, ranks: Ranks, device: str) -> None:
    if device == "cuda":
        torch.cuda.set_device(ranks.rank)
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo",
        init_method=f"file://{folder / 'meeting'}",
        rank=ranks.rank,
        world_size=ranks.count,
        timeout=PATIENCE,
    )


def _other(
    folder: Path,
    ranks: Ranks,
    device: str,
    parent: int,
    follow: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    """One of the other processes."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        _join(folder, ranks, device)
        follow(*arguments, ranks)
    except BaseException:
        (folder / f"{ranks.rank}").write_text(traceback.format_exc())
        os._exit(1)  # at once: the first process hears of it by the connection that breaks


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _reason(folder: Path, others: list[SpawnProcess]) -> str:
    """Why one of the others has ended; "" if none has."""
    time.sleep(0.5)  # the connection breaks a little before the process has ended
    for rank, process in enumerate(others, start=1):
        if (folder / f"{rank}").is_file():
            said = (folder / f"{rank}").read_text()
            return f"process {rank} of those that train together failed: {said.splitlines()[-1]}\n{said}"
        if process.exitcode is not None:
            return f"process {rank} of those that train together died with exit code {process.exitcode}"
    return ""
