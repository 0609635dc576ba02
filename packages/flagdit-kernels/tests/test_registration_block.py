"""Registration with torch.library at work on a whole block: compilation, checkpointing, sharding."""

import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
import torch
from functorch.compile import make_boxed_func
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.testing import CompileCounterWithBackend
from torch._functorch.partitioners import min_cut_rematerialization_partition
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from .block import BACKWARDS, FORWARDS, block_and_inputs, gradients
from .cases import LAYOUTS, Layout

ATTENTION = torch.ops.flagdit.attention.default
# The compiler sees the first, in which no two sizes are equal by chance; the last one's segments are equal. A size of
# one is left out: PyTorch always compiles that apart.
LENGTHS = [(5, 9, 13, 4, 8), (8, 2, 0, 1), (3, 30), (21, 2, 2), (6, 6, 6, 6, 6)]


class Count(TorchDispatchMode):
    """Counts the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[torch._ops.OpOverload] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.calls[function] += 1
        return function(*args, **(kwargs or {}))


def save_attention(context, function, *args, **kwargs):
    """The policy of a training loop: attention is dear, all else is computed again."""
    return CheckpointPolicy.MUST_SAVE if function is ATTENTION else CheckpointPolicy.PREFER_RECOMPUTE


def checkpointed(block, *inputs, saves: bool):
    """The block's output under full or selective checkpointing."""
    options = {"context_fn": partial(create_selective_checkpoint_contexts, save_attention)} if saves else {}
    return checkpoint(block, *inputs, use_reentrant=False, **options)


@pytest.mark.slow
def test_compiles_once_for_all_lengths():
    """One graph without breaks for any lengths and number of segments, forward and backward equal to eager."""
    counter = CompileCounterWithBackend("inductor")
    block, _ = block_and_inputs(Layout(lengths=LENGTHS[0]))
    compiled = torch.compile(block, backend=counter, fullgraph=True, dynamic=True)
    for lengths in LENGTHS:
        _, inputs = block_and_inputs(Layout(lengths=lengths))
        found, expected = compiled(*inputs), block(*inputs)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        found, expected = gradients(compiled, found, inputs[0]), gradients(block, expected, inputs[0])
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    assert counter.frame_count == 1


@pytest.mark.parametrize("saves", [False, True], ids=["recompute all", "save attention"])
def test_activation_checkpointing(saves):
    """Gradients are exact; each operator runs twice forward and once backward, a saved attention once forward."""
    block, inputs = block_and_inputs(LAYOUTS["ragged"])
    expected = gradients(block, block(*inputs), inputs[0])
    with Count() as count:
        found = gradients(block, checkpointed(block, *inputs, saves=saves), inputs[0])
    assert all(map(torch.equal, found, expected))
    assert {name: count.calls[name] for name in BACKWARDS} == dict.fromkeys(BACKWARDS, 1)
    runs = dict.fromkeys(FORWARDS, 2) | ({ATTENTION: 1} if saves else {})
    assert {name: count.calls[name] for name in FORWARDS} == runs


@pytest.mark.parametrize("saves", [False, True], ids=["recompute all", "save attention"])
def test_activation_checkpointing_when_compiled(saves):
    """The compiled block keeps to the policy: a saved attention is in the forward graph alone, else in both."""
    graphs = []

    def keep(graph, _):
        graphs.append(Counter(node.target for node in graph.graph.nodes))
        return make_boxed_func(graph)

    backend = aot_autograd(fw_compiler=keep, bw_compiler=keep, partition_fn=min_cut_rematerialization_partition)
    block, inputs = block_and_inputs(LAYOUTS["ragged"])
    compiled = torch.compile(partial(checkpointed, block, saves=saves), backend=backend, fullgraph=True)
    found = gradients(block, compiled(*inputs), inputs[0])
    torch.testing.assert_close(found, gradients(block, block(*inputs), inputs[0]), rtol=1e-4, atol=1e-6)
    assert [graph[ATTENTION] for graph in graphs] == [1, 0 if saves else 1]


@pytest.mark.slow
def test_fully_shard():
    """Two processes with sharded parameters and checkpointing have the gradients of one process with both batches."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = Path(__file__).with_name("sharded_block.py")
    run = subprocess.run(
        [*command, "-m", f"tests.{script.stem}"], cwd=script.parents[1], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-4000:]
    assert run.stdout.count("gradients are equal") == 2
