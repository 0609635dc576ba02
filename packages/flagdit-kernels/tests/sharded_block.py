"""One of two processes that train a block together: run by ``test_registration_block.py`` under ``torchrun``."""

import os

import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.utils.checkpoint import checkpoint

from .block import block_and_inputs
from .cases import Layout

BATCHES = (Layout(lengths=(3, 1, 0, 9)), Layout(lengths=(4, 4)))


def main() -> None:
    """Compare the sharded gradients with those that one process has of both batches."""
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    single, _ = block_and_inputs(BATCHES[0])
    for seed, layout in enumerate(BATCHES):
        _, inputs = block_and_inputs(layout, seed)
        (single(*inputs).sin().sum() / len(BATCHES)).backward()

    block, inputs = block_and_inputs(BATCHES[rank], rank)
    fully_shard(block)
    checkpoint(block, *inputs, use_reentrant=False).sin().sum().backward()
    for name, parameter in block.named_parameters():
        expected = single.get_parameter(name).grad
        torch.testing.assert_close(parameter.grad.full_tensor(), expected, rtol=1e-4, atol=1e-5)
    print(f"rank {rank}: gradients are equal", flush=True)  # noqa: T201 - what the test reads
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
    os._exit(0)  # threads of gloo may outlive the interpreter, which aborts the process after its work is done
