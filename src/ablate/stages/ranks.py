"""Several processes that train one network together, each on a GPU of its own: torch.distributed.

Each draws the whole batch by its address, lets the U-Net predict its part of it, and gets the others'
predictions. So every loss sees the whole batch, and the loss is that of one process. The gradients are
summed before each step, in one piece that is the same in every step. (DistributedDataParallel arranges its
pieces anew after the first step, so with three and more processes the last bits of a training would depend on
where it was interrupted.)
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed

from ablate.data.parallel import CONTEXT
from ablate.environment import environment, refuse_other
from ablate.errors import AblateError, RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from torch import Tensor

PATIENCE = timedelta(minutes=10)
"""What a step may take, with compiling: then those that the others wait for are given up."""
LEAVE = 10.0
"""Seconds in which the others end by themselves."""
LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
"""The network that they talk over on a CPU, and meet over on GPUs: no other machine reaches it."""


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


ALONE = Ranks()
"""One process."""


class Others:
    """The processes beside the first, as it sees them."""

    def __init__(self, ranks: Ranks = ALONE, pipes: Sequence[Connection] = ()) -> None:
        self.ranks, self._pipes = ranks, pipes

    def come_to(self, epoch: int) -> None:
        """Has them train an epoch. They wait for that as long as it takes."""
        for pipe in self._pipes:
            pipe.send(epoch)


@contextmanager
def together(count: int, device: str, follow: Callable[..., None], *arguments: Any) -> Iterator[Others]:
    """This process as the first of ``count``. The others call ``follow(*arguments, ranks, epochs)``, where
    ``epochs`` gives the epochs that they are told. They end with the block, or with this process.

    Raises:
        RunError: there are fewer GPUs, or one of the others has failed, with its reason.
    """
    if count == 1:
        yield Others()
        return
    if device == "cuda" and torch.cuda.device_count() < count:
        raise RunError(
            f"it takes {count} GPUs, and this process sees {torch.cuda.device_count()}",
            where="train.devices",
            fix="Set train.devices to what there is: it is part of the keys, and changes the last bits.",
        )
    pipes, processes = [], []
    with tempfile.TemporaryDirectory(prefix="ablate-ranks-") as folder:
        try:
            for rank in range(1, count):
                ours, theirs = CONTEXT.Pipe()
                what = (Path(folder), Ranks(rank, count), device, theirs, environment(), follow, arguments)
                process = CONTEXT.Process(target=_other, args=what, daemon=True)
                process.start()
                theirs.close()
                pipes.append(ours)
                processes.append(process)
            _join(Path(folder), Ranks(0, count), device)
            yield Others(Ranks(0, count), pipes)
            for pipe, process in zip(pipes, processes, strict=True):
                pipe.close()  # there are no more epochs
                process.join(timeout=LEAVE)
        except AblateError:
            raise
        except Exception as error:
            if reason := _reason(Path(folder), processes):
                raise RunError(reason, where="train.devices") from error
            raise
        finally:
            for process in processes:
                process.kill()
                process.join()
            if distributed.is_initialized():
                distributed.destroy_process_group()


def _join(folder: Path, ranks: Ranks, device: str) -> None:
    if device == "cuda":
        torch.cuda.set_device(ranks.rank)
    for library in ("GLOO", "NCCL"):
        os.environ.setdefault(f"{library}_SOCKET_IFNAME", LOOPBACK)
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
    pipe: Connection,
    expected: Mapping[str, str],
    follow: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    """One of the other processes. What ``follow`` needs is loaded with it."""
    try:
        _join(folder, ranks, device)
        refuse_other(expected)
        follow(*arguments, ranks, _told(pipe))
    except BaseException as error:
        (folder / f"{ranks.rank}").write_text(_in_words(error))
        os._exit(1)  # at once: the first process hears of it by the connection that breaks


def _in_words(error: BaseException) -> str:
    """What is wrong in the first line; of what nobody foresaw, the whole traceback below."""
    if isinstance(error, AblateError):
        return str(error)
    return "".join([*traceback.format_exception_only(error), *traceback.format_exception(error)])


def _told(pipe: Connection) -> Iterator[int]:
    """The epochs that the first process comes to, until it has no more, or has ended."""
    with suppress(EOFError, ConnectionResetError):
        while True:
            yield pipe.recv()


def _reason(folder: Path, others: Sequence[BaseProcess]) -> str:
    """Why one of the others has ended; "" if none has."""
    time.sleep(0.5)  # the connection breaks a little before the process has ended
    for rank, process in enumerate(others, start=1):
        if (folder / f"{rank}").is_file():
            return f"process {rank} of those that train together failed: {(folder / f'{rank}').read_text()}"
        if process.exitcode is not None:
            return f"process {rank} of those that train together died with exit code {process.exitcode}"
    return ""
