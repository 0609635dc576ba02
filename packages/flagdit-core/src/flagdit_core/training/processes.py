"""One process, or several that ``torchrun`` started, at work on one training.

Several spread weights, gradients, averages and moments among them by PyTorch's ``fully_shard``; what a step computes
does not depend on how many they are, up to rounding.
"""

import copy
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from flagdit_core.errors import ConfigError
from flagdit_core.text_encoder import TextEncoder

_PATIENCE = timedelta(days=1)
"""How long processes wait while the first one draws samples, or another encodes what they will learn from."""


@dataclass(frozen=True)
class Processes:
    """Those that train together.

    Attributes:
        rank: Number of this one; the first, 0, writes the files.
        size: How many.
        mesh: Over all of them; None if this one is alone.
        waiting: The group in which they wait for one another, on CPUs; None if this one is alone.
    """

    rank: int = 0
    size: int = 1
    mesh: DeviceMesh | None = None
    waiting: dist.ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes files."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """What this process does of a batch.

        Args:
            count: Examples of the batch.

        Returns:
            Which of them.

        Raises:
            ConfigError: They cannot be shared equally.
        """
        if count % self.size:
            raise ConfigError(
                f"expected a batch that {self.size} processes can share equally, got {count}: change batch_size"
            )
        each = count // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.waiting is not None:
            dist.barrier(self.waiting)

    def any(self, here: bool) -> bool:
        """Whether it holds in at least one process."""
        if self.waiting is None:
            return here
        count = torch.tensor(int(here))
        dist.all_reduce(count, group=self.waiting)
        return bool(count)

    def mean(self, value: Tensor) -> Tensor:
        """The mean over all processes, on the value's device."""
        if self.mesh is None:
            return value
        total = value.clone()
        dist.all_reduce(total, group=self.mesh.get_group())
        return total / self.size

    def spread(self, networks: nn.ModuleDict) -> nn.ModuleDict:
        """Networks to compute with instead, which hold a share of the weights that are taken out of these.

        Args:
            networks: Left empty, until :func:`fill`; returned as they are if this process is alone.

        Returns:
            Others of the same classes, names and forms, spread among the processes.
        """
        if self.mesh is None:
            return networks
        twins = copy.deepcopy(networks, {id(parameter): parameter for parameter in networks.parameters()})
        lists = [module for module in twins.modules() if isinstance(module, nn.ModuleList)]
        for layer in (layer for layers in reversed(lists) for layer in layers):  # inner ones first
            fully_shard(layer, mesh=self.mesh)
        for twin in twins.values():  # what is called of a text encoder is its transformers model
            fully_shard(twin.model if isinstance(twin, TextEncoder) else twin, mesh=self.mesh)
        empty(networks)
        return twins


ALONE = Processes()


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """The processes that work together, which are joined here unless they are already.

    Args:
        device: Of this process; "cuda" ones differ within a machine.

    Yields:
        The processes: this one alone, where neither ``torchrun`` nor the caller started others.
    """
    ours = not dist.is_initialized()
    if ours and int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if ours:
        dist.init_process_group()  # by gloo on CPUs, by NCCL on GPUs
    size = dist.get_world_size()
    with warnings.catch_warnings():
        # blocks return views, which nothing here writes to
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
        yield Processes(
            rank=dist.get_rank(),
            size=size,
            mesh=init_device_mesh(device.type, (size,)),
            waiting=dist.new_group(backend="gloo", timeout=_PATIENCE),
        )
    if ours:  # not after an error: the others may never come
        dist.destroy_process_group()


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that may be spread; every process must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def spread_like(value: Tensor, target: Tensor) -> Tensor:
    """A whole tensor on the device of another one, and spread as that one is.

    Args:
        value: The same in all processes.
        target: Of the same shape.

    Returns:
        What may be copied into the target.
    """
    value = value.to(target.device)
    if not isinstance(target, DTensor):
        return value
    return distribute_tensor(value, target.device_mesh, target.placements, src_data_rank=None)


def empty(networks: nn.Module) -> None:
    """Give up the weights of networks, but neither their names nor their devices."""
    for parameter in networks.parameters():
        parameter.data = parameter.data.new_empty(0)


@torch.no_grad()
def forget_gathered(networks: nn.Module) -> None:
    """Drop the whole weights that a forward pass leaves for its backward pass, where none follows it.

    Without this the next forward pass would compute with them, though the weights have changed since.

    Args:
        networks: Spread or not.
    """
    for module in networks.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def fill(networks: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Give networks that were emptied their weights.

    Args:
        networks: The networks.
        values: All weights by name, whole or spread; every process must fill.
    """
    for name, parameter in networks.named_parameters():
        parameter.data = whole(values[name].detach()).to(parameter.dtype)
