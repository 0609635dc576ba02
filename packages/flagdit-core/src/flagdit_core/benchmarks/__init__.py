"""Suites of ``flagdit-bench``: whole blocks, and the network as it is sampled from and trained. Weights are random."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from flagdit_kernels import Backend

DTYPE = torch.bfloat16

# cuDNN's attention wherever it can run, which is not what PyTorch tries first.
_CUDNN_FIRST = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]


def backend_of(implementation: str) -> Backend:
    """Ours takes the fastest kernels that can run here; everything else is plain PyTorch."""
    return "auto" if implementation.startswith("flagdit") else "reference"


@contextmanager
def attention_of(implementation: str) -> Iterator[None]:
    """Within, PyTorch's attention is what an implementation is named for."""
    with sdpa_kernel(_CUDNN_FIRST, set_priority=True) if implementation.endswith("cudnn") else nullcontext():
        yield


def give_random_weights(module: nn.Module) -> None:
    """Fill every parameter, wherever it is, so that every part counts, those that start at zero too."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5 if parameter.ndim > 1 else 0.5)
    for part in module.modules():
        if isinstance(part, nn.LayerNorm | nn.RMSNorm):
            part.reset_parameters()
