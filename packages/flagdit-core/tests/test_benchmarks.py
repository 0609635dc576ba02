"""The suites of blocks and models run on a CPU at tiny sizes, and their gates notice a wrong block."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from flagdit_core.benchmarks import blocks as block_suite
from flagdit_core.benchmarks import models as model_suite
from flagdit_core.benchmarks.blocks import blocks
from flagdit_core.benchmarks.models import build_network, models
from flagdit_core.model.block import FeedForward
from flagdit_core.model.config import FlagDiTConfig
from flagdit_kernels.bench import Case, Conditions, RedGateError
from flagdit_kernels.bench.operators import Shape
from flagdit_kernels.bench.runner import Runner

CONDITIONS = Conditions(device=torch.device("cpu"), quick=True)
UNCOMPILED = ("flagdit", "eager", "eager-cudnn")


def run(cases: Iterator[Case], implementations: tuple[str, ...], wanted: str = "") -> Runner:
    """A runner that has run the cases whose title has a word, for some of the implementations."""
    runner = Runner(
        suite="a",
        conditions=CONDITIONS,
        folder=None,
        out_of_time=lambda: False,
    )
    runner.run(
        replace(case, implementations=tuple(name for name in case.implementations if name in implementations))
        for case in cases
        if wanted in case.title
    )
    return runner


def test_blocks() -> None:
    """Ours and the plain block pass their gates and are timed, forward and both ways, on one segment and on several."""
    runner = run(blocks(CONDITIONS), UNCOMPILED)
    assert runner.refusals == []
    assert len(runner.measurements) == 2 * 2 * 2 * len(UNCOMPILED)
    assert all(row.median > 0 and row.work["flops"] > 0 for row in runner.measurements)


@pytest.mark.slow
def test_compiled_blocks() -> None:
    """The compiled blocks are one graph each, and pass the same gates."""
    runner = run(blocks(CONDITIONS), ("flagdit-compiled", "compiled-cudnn"), "96/48 packed bfloat16 forward+backward")
    assert runner.refusals == []
    assert len(runner.measurements) == 2


def test_models() -> None:
    """Every line of the network passes its gate: denoising steps, the longest forward, training with both weights."""
    runner = run(models(CONDITIONS), UNCOMPILED)
    assert runner.refusals == []
    found = [(row.name, row.settings["size"], row.implementation) for row in runner.measurements]
    assert found == [
        *(("denoising step", size, name) for size in ("1024x1024 guided", "128K tokens") for name in UNCOMPILED),
        ("forward", "512K tokens", "flagdit"),
        *(("training step", "128K tokens", name) for _ in range(2) for name in UNCOMPILED[:2]),
    ]


def test_a_wrong_block_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed-forward that is off in ours alone gives no number, in a block and in the network."""
    right = FeedForward.forward

    def off(self: FeedForward, x_LD: torch.Tensor, context: block_suite.Context) -> torch.Tensor:
        return right(self, x_LD, context) * (3.0 if context.backend == "auto" else 1.0)

    monkeypatch.setattr(FeedForward, "forward", off)
    for cases in (blocks(CONDITIONS), models(CONDITIONS)):
        runner = run(cases, UNCOMPILED)
        assert {row.implementation for row in runner.refusals if row.red} == {"flagdit"}
        assert {row.implementation for row in runner.measurements} == {"eager", "eager-cudnn"}


def test_what_is_not_finite_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long forward, whose truth nobody can compute, has to be finite at least."""
    (case,) = (case for case in models(CONDITIONS) if case.name == "forward")
    trial = case.prepare()("flagdit")
    trial.gate()
    trial.call()
    monkeypatch.setattr(model_suite.FlagDiT, "forward", lambda self, latents, *_, **__: latents / 0)
    with pytest.raises(RedGateError, match="not finite"):
        trial.call()


def test_operations_of_a_block() -> None:
    """The operations that rates are made of are those of the matrix products, as PyTorch counts them."""
    shape = Shape(name="a", lengths=(64, 64), heads=2, head_dim=32, ffn=192, text=16)
    config = replace(block_suite._config(shape), caption_size=1, conditioning_size=1)  # their part is left out
    case = block_suite._prepare(shape, config, block_suite._forward, CONDITIONS.device)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # which does not know the CPU's own
        case("eager").call()
    expected = block_suite._flops(shape, config, backward=False)
    assert expected == pytest.approx(counter.get_total_flops(), rel=0.01)
    assert block_suite._flops(shape, config, backward=True) > 3 * expected


def test_the_promised_sizes() -> None:
    """The pictures of the long lines are of 128 K and 512 K tokens, and the network is the 5b one."""
    sizes = model_suite._sizes(quick=False)
    assert sizes.config == FlagDiTConfig.preset("5b")
    assert model_suite._tokens(sizes.config, sizes.long) == 2**17
    assert model_suite._tokens(sizes.config, sizes.longest) == 2**19
    assert sizes.picture == (1024 // 8, 1024 // 8)


def test_weights_are_made_in_place() -> None:
    """A network is built in its dtype without a copy elsewhere; nothing in it stays unset, and every part counts."""
    network = build_network(FlagDiTConfig.preset("nano"), CONDITIONS.device, torch.bfloat16)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.bfloat16}
    assert all(parameter.isfinite().all() and parameter.abs().max() < 4 for parameter in network.parameters())
    assert not list(network.buffers())
    velocity = network(torch.randn(1, 8, 4, 4).bfloat16(), 0.5, torch.randn(1, 3, 128).bfloat16())
    assert velocity.std() > 0
