"""Whole runs."""

import csv
import dataclasses
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from flagdit_core.errors import CheckpointError, ConfigError, FlagDiTError
from flagdit_core.flow import euler, linear_times
from flagdit_core.model.config import FlagDiTConfig
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.text_encoder import TextEncoder
from flagdit_core.training import Batch, Example, ExampleSource, TrainingConfig, TrainingResult, train


def _assert_equal(first: TrainingResult, second: TrainingResult) -> None:
    """Every tensor of two runs' last checkpoints is the same, bit by bit."""
    for file in ("weights", "ema", "optimizer"):
        one, other = (load_file(result.checkpoint / f"{file}.safetensors") for result in (first, second))
        assert one.keys() == other.keys()
        assert one
        for name in one:
            assert torch.equal(one[name], other[name]), (file, name)


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "scalars.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("prefetch_batches", [0, 2])
def test_resume_is_bit_exact(run, config, tmp_path: Path, prefetch_batches: int) -> None:
    """Six steps equal three and then three in fresh objects, in weights, average and moments.

    That is with unequal latents, caption dropout, warm-up and decay, whether batches are made ahead or not.
    """
    whole = run(tmp_path / "whole")
    part = run(tmp_path / "parts", stop_after=3)
    assert (part.step, part.finished) == (3, False)
    torch.manual_seed(99)  # the global random state has no part in it
    rest = run(tmp_path / "parts", config=dataclasses.replace(config, prefetch_batches=prefetch_batches), resume=True)
    assert (rest.step, rest.finished) == (6, True)
    _assert_equal(whole, rest)
    assert [int(row["step"]) for row in _rows(tmp_path / "parts")] == [2, 3, 4, 6]


def test_resume_is_bit_exact_with_two_optimizers(run, config, tmp_path: Path) -> None:
    """Muon's momentum is kept as AdamW's moments are, and Muon does train otherwise than AdamW."""
    muon = dataclasses.replace(config, optimizer="muon")
    whole = run(tmp_path / "whole", config=muon)
    run(tmp_path / "parts", config=muon, stop_after=3)
    _assert_equal(whole, run(tmp_path / "parts", config=muon, resume=True))
    name = "model.blocks.0.attention.qkv.weight"
    adamw = run(tmp_path / "adamw")
    one, other = (load_file(result.checkpoint / "weights.safetensors") for result in (whole, adamw))
    assert not torch.equal(one[name], other[name])


@pytest.mark.parametrize(("first", "then"), [("adamw", "muon"), ("muon", "adamw")])
def test_another_optimizer_goes_on_without_the_moments(run, config, tmp_path: Path, first: str, then: str) -> None:
    """A run goes on with another optimizer, which leaves nothing of the one before in its checkpoints."""
    run(tmp_path / "one", config=dataclasses.replace(config, optimizer=first), stop_after=3)
    other = run(tmp_path / "one", config=dataclasses.replace(config, optimizer=then), resume=True)
    fresh = run(tmp_path / "other", config=dataclasses.replace(config, optimizer=then))
    one, two = (load_file(result.checkpoint / "optimizer.safetensors") for result in (other, fresh))
    assert one.keys() == two.keys()


def test_a_layer_that_nothing_reads_does_not_stop_a_resume(
    make_model, make_text_encoder, source, config, tmp_path: Path
) -> None:
    """Where captions are read before the encoder's last layer, that one gets no gradient, hence has no moments."""

    def networks():
        encoder = make_text_encoder()
        return make_model(), TextEncoder(
            encoder.model, encoder.tokenizer, dataclasses.replace(encoder.config, hidden_layer=-2)
        )

    whole = train(*networks(), source, config, tmp_path / "whole")
    train(*networks(), source, config, tmp_path / "parts", stop_after=3)
    _assert_equal(whole, train(*networks(), source, config, tmp_path / "parts", resume=True))


def test_seed_changes_the_run(run, config, tmp_path: Path) -> None:
    """Another seed gives other weights, so that the equalities of these tests are not those of runs that do nothing."""
    one, other = run(tmp_path / "one"), run(tmp_path / "other", config=dataclasses.replace(config, seed=1))
    a, b = (load_file(result.checkpoint / "weights.safetensors") for result in (one, other))
    assert sum(not torch.equal(a[name], b[name]) for name in a) > len(a) // 2


def test_activation_checkpointing_changes_nothing(run, config, tmp_path: Path) -> None:
    """Recomputing activations gives the same weights, under the same names, and leaves the module as it was."""
    plain = run(tmp_path / "plain")
    recomputed = run(tmp_path / "recomputed", config=dataclasses.replace(config, activation_checkpointing=True))
    _assert_equal(plain, recomputed)
    assert [type(block) for block in recomputed.model.blocks] == [type(block) for block in plain.model.blocks]


@pytest.mark.slow
def test_compiled_blocks_train_alike(run, config, tmp_path: Path) -> None:
    """torch.compile, with and without recomputation, follows the uncompiled run to float32 rounding."""
    plain = load_file(run(tmp_path / "plain").checkpoint / "weights.safetensors")
    for recompute in (False, True):
        changed = dataclasses.replace(config, compile=True, activation_checkpointing=recompute)
        compiled = load_file(run(tmp_path / str(recompute), config=changed).checkpoint / "weights.safetensors")
        for name in plain:
            torch.testing.assert_close(compiled[name], plain[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_run_cleanly(
    make_model, make_text_encoder, source, config, run, tmp_path: Path, number: signal.Signals
) -> None:
    """After a signal in the middle of step four, the step is finished and saved, and the old handlers are back.

    The resumed run is bit for bit the uninterrupted one.
    """

    class Interrupting:
        def batch(self, step: int, *, batch_size: int, seed: int) -> Batch:
            if step == 3:
                os.kill(os.getpid(), number)
            return source.batch(step, batch_size=batch_size, seed=seed)

    before = signal.getsignal(number)
    stopped = train(make_model(), make_text_encoder(), Interrupting(), config, tmp_path / "stopped")
    assert (stopped.step, stopped.finished) == (4, False)
    assert stopped.checkpoint.name == "step-00000004"
    assert signal.getsignal(number) is before
    _assert_equal(run(tmp_path / "whole"), run(tmp_path / "stopped", resume=True))


def test_rows_after_the_checkpoint_are_dropped(run, config, tmp_path: Path) -> None:
    """A run killed after its last checkpoint leaves rows that are made again; resuming does not double them."""
    run(tmp_path, stop_after=4)
    with (tmp_path / "scalars.csv").open("a") as file:
        file.write("5,9.9,9.9,9.9,9.9,9.9\n6,9.9")  # a row of a step that was lost, and a half-written one
    run(tmp_path, resume=True)
    rows = _rows(tmp_path)
    assert [int(row["step"]) for row in rows] == [2, 4, 6]
    assert all(float(row["loss"]) < 9 for row in rows)


def test_runs_are_not_overwritten_or_invented(run, config, tmp_path: Path) -> None:
    """A second run in a folder, resuming where nothing is or more was done, and stopping before the start."""
    with pytest.raises(CheckpointError, match="nothing to resume"):
        run(tmp_path, resume=True)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="stop_after"):
        run(tmp_path, stop_after=0)
    run(tmp_path)
    with pytest.raises(ConfigError, match="already holds a run"):
        run(tmp_path)
    with pytest.raises(ConfigError, match="6 steps, more than num_steps = 4"):
        run(tmp_path, config=dataclasses.replace(config, num_steps=4), resume=True)


def test_a_run_with_all_its_steps_is_read_again(run, config, tmp_path: Path) -> None:
    """Whoever was killed after the last step, before writing the model, gets the same networks and no more rows."""
    whole, rows = run(tmp_path), _rows(tmp_path)
    again = run(tmp_path, resume=True)
    assert again.finished and again.step == whole.step
    _assert_equal(whole, again)
    assert _rows(tmp_path) == rows


def test_samples_that_were_due_are_drawn_later(run, config, tmp_path: Path) -> None:
    """Whoever was killed between a checkpoint and its samples, in the middle or at the end, gets them when resuming."""
    config, drawn = dataclasses.replace(config, sample_every=2), list[int]()

    def sample(step: int, *_: object) -> None:
        drawn.append(step)

    run(tmp_path, config=config, stop_after=2)
    run(tmp_path, config=config, resume=True, sample=sample, stop_after=3)
    assert drawn == [2]
    run(tmp_path, config=config, resume=True)
    run(tmp_path, config=config, resume=True, sample=sample)
    assert drawn == [2, 6]


def test_changed_settings_are_said(run, config, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Resuming with another learning rate is allowed and logged; unchanged settings are not."""
    run(tmp_path, stop_after=2)
    run(tmp_path, config=dataclasses.replace(config, learning_rate=0.02), resume=True, stop_after=4)
    warnings = [record.getMessage() for record in caplog.records if "resumed with" in record.getMessage()]
    assert warnings == ["resumed with learning_rate = 0.02, it was 0.01"]


def test_a_diverged_run_stops_without_writing(run, config, make_model, make_text_encoder, tmp_path: Path) -> None:
    """A loss that is not a number raises before a checkpoint of ruined weights is written; the older one stays."""

    class Broken:
        def batch(self, step: int, *, batch_size: int, seed: int) -> Batch:
            value = float("nan") if step == 3 else 1.0
            return Batch(latents=torch.full((batch_size, 4, 4, 4), value), captions=["a"] * batch_size)

    with pytest.raises(FlagDiTError, match="by step 4 the loss is nan"):
        train(make_model(), make_text_encoder(), Broken(), config, tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").glob("step-*")] == ["step-00000002"]


def test_samples_come_from_the_average(run, config, tmp_path: Path) -> None:
    """The sampling callback sees the averaged weights, evaluation mode and no gradients, when asked for and at the end.

    The run goes on as if it had not been called.
    """
    calls = []

    def sample(step, model, text_encoder, folder) -> None:
        weights = {name: value.detach().clone() for name, value in model.named_parameters()}
        calls.append((step, model.training, text_encoder.training, torch.is_grad_enabled(), weights))
        (folder / f"{step}.txt").write_text("drawn")
        torch.manual_seed(step)

    sampled = run(tmp_path / "sampled", config=dataclasses.replace(config, sample_every=4), sample=sample)
    assert [call[:4] for call in calls] == [(4, False, False, False), (6, False, False, False)]
    average = load_file(sampled.checkpoint / "ema.safetensors")
    assert all(torch.equal(value, average[f"model.{name}"]) for name, value in calls[-1][4].items())
    assert sorted(path.name for path in (tmp_path / "sampled" / "samples").iterdir()) == ["4.txt", "6.txt"]
    _assert_equal(run(tmp_path / "plain"), sampled)


def test_frozen_text_encoder_stays_as_it_is(make_model, make_text_encoder, source, config, tmp_path: Path) -> None:
    """A text encoder without gradients is used, not trained."""
    text_encoder = make_text_encoder().requires_grad_(False)
    before = {name: value.clone() for name, value in text_encoder.named_parameters()}
    result = train(make_model(), text_encoder, source, config, tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in text_encoder.named_parameters())
    assert all(name.startswith("model.") for name in result.ema.average)


def test_networks_that_cannot_be_trained(make_model, make_text_encoder, source, config, tmp_path: Path) -> None:
    """Half-precision weights, or a missing text encoder, are refused before anything is written."""
    with pytest.raises(ConfigError, match=r"float32 weights to train, got torch.bfloat16"):
        train(make_model().bfloat16(), make_text_encoder(), source, config, tmp_path / "run")
    with pytest.raises(ConfigError, match="expected a text encoder"):
        train(make_model(), None, source, config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_tensorboard(run, config, tmp_path: Path) -> None:
    """Event files are written when asked for."""
    pytest.importorskip("tensorboard")
    run(tmp_path, config=dataclasses.replace(config, tensorboard=True))
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_overfits_captioned_latents(make_text_encoder, tmp_path: Path) -> None:
    """Trained on two opposite latents, the averaged network samples each from its caption alone, from the same noise.

    Each comes within a third of its size; a network deaf to captions would miss one of them by the whole size.
    """
    config = FlagDiTConfig(
        patch_size=1,
        hidden_size=16,
        depth=2,
        num_heads=2,
        num_kv_heads=2,
        ffn_hidden_size=32,
        conditioning_size=16,
        caption_size=16,
    )
    torch.manual_seed(0)
    pattern = torch.tensor([1.0, -1.0, 0.5, 2.0])[:, None, None].expand(4, 2, 3)
    examples = [Example(latent=pattern, caption="a red circle"), Example(latent=-pattern, caption="two stars")]
    settings = TrainingConfig(
        num_steps=150,
        batch_size=16,
        learning_rate=1e-2,
        warmup_steps=10,
        decay="cosine",
        ema_decay=0.95,
        caption_dropout=0.0,
    )
    result = train(FlagDiT(config), make_text_encoder(), ExampleSource(examples), settings, tmp_path)
    noise = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(1))
    with result.ema.applied(), torch.no_grad():
        for example in examples:
            text = result.text_encoder([example.caption])

            def velocity(x, t, text=text):
                return result.model(x[None], t[None], text.features, text.mask)[0]

            error = (euler(velocity, noise, linear_times(16)) - example.latent).norm() / pattern.norm()
            assert error < 1 / 3, example.caption
