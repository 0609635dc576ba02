"""The loss of one batch."""

import dataclasses

import pytest
import torch

from flagdit_core.errors import ConfigError, ShapeError
from flagdit_core.model.config import FlagDiTConfig
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.training import Batch, TrainingConfig, training_loss
from flagdit_core.training.step import drop_captions

CPU = torch.device("cpu")
CONFIG = TrainingConfig(num_steps=1, batch_size=2, caption_dropout=0.0)


def _loss(model, text_encoder, batch, config=CONFIG, null=None, seed=0, part=slice(None)):
    null = text_encoder.tokenize([""]) if null is None else null
    generator = torch.Generator().manual_seed(seed)
    return training_loss(model, text_encoder, batch, config, null=null, device=CPU, generator=generator, part=part)


def test_unequal_batch_is_the_mean_of_its_items(make_model, make_text_encoder) -> None:
    """A packed batch of three shapes has the mean of the losses that its items have alone, at the same noise."""
    model, text_encoder = make_model(), make_text_encoder()
    latents = [torch.randn(4, 4, 4), torch.randn(4, 8, 6), torch.randn(4, 2, 10)]
    captions = ["a red circle", "", "two stars"]
    seen = []

    def recorded(x_t, t, caption, caption_mask):
        seen.append((x_t, t, caption, caption_mask))
        return model(x_t, t, caption, caption_mask)

    whole = _loss(recorded, text_encoder, Batch(latents=latents, captions=captions))
    (x_t, t, caption, mask) = seen[0]
    parts = []
    for i, x1 in enumerate(latents):
        x0 = (x_t[i] - t[i] * x1) / (1 - t[i])
        velocity = model([x_t[i]], t[i : i + 1], caption[i : i + 1], mask[i : i + 1])[0]
        parts.append((velocity - (x1 - x0)).square().mean())
    assert whole.item() == pytest.approx(torch.stack(parts).mean().item(), rel=1e-4)


def test_every_trained_parameter_gets_a_gradient(make_model, make_text_encoder) -> None:
    """The text encoder learns through the network; no parameter that a picture uses is left without a gradient."""
    model, text_encoder = make_model(), make_text_encoder()
    _loss(
        model, text_encoder, Batch(latents=torch.randn(2, 4, 4, 4), captions=["a red circle", "two stars"])
    ).backward()
    named = dict(torch.nn.ModuleDict({"model": model, "text_encoder": text_encoder}).named_parameters())
    without = {name for name, p in named.items() if p.grad is None or not p.grad.abs().sum() > 0}
    assert without <= {"model.next_frame"}  # a single picture closes no frame in this configuration


def test_tokens_ahead_equal_captions(make_model, make_text_encoder) -> None:
    """A source that tokenizes ahead gets bit for bit the loss of one that gives texts."""
    model, text_encoder = make_model(), make_text_encoder()
    latents, captions = torch.randn(2, 4, 4, 4), ["a red circle", "two stars"]
    texts = _loss(model, text_encoder, Batch(latents=latents, captions=captions))
    tokens = _loss(model, text_encoder, Batch(latents=latents, captions=text_encoder.tokenize(captions)))
    assert torch.equal(texts, tokens)


def test_full_dropout_is_the_null_prompt(make_model, make_text_encoder) -> None:
    """With every caption dropped the loss is that of null prompts, and differs from that of the captions."""
    model, text_encoder = make_model(), make_text_encoder()
    latents, captions = torch.randn(2, 4, 4, 4), ["a red circle", "two stars"]
    dropped = dataclasses.replace(CONFIG, caption_dropout=1.0)
    all_dropped = _loss(model, text_encoder, Batch(latents=latents, captions=captions), dropped)
    null = _loss(model, text_encoder, Batch(latents=latents, captions=["", ""]))
    assert all_dropped.item() == pytest.approx(null.item(), rel=1e-5)
    kept = _loss(model, text_encoder, Batch(latents=latents, captions=captions))
    assert abs(all_dropped.item() - kept.item()) > 1e-6


def test_dropout_rate(make_model, make_text_encoder) -> None:
    """A dropout of 0.25 replaces about a quarter of the rows, and no others."""
    text_encoder = make_text_encoder()
    masks = []

    def recorded(x_t, t, caption, caption_mask):
        masks.append(caption_mask)
        return x_t

    batch = Batch(latents=torch.zeros(4000, 1, 2, 2), captions=text_encoder.tokenize(["two stars"] * 4000))
    _loss(recorded, text_encoder, batch, dataclasses.replace(CONFIG, caption_dropout=0.25))
    lengths = masks[0].sum(1)
    null, full = int(text_encoder.tokenize([""]).mask.sum()), int(text_encoder.tokenize(["two stars"]).mask.sum())
    assert set(lengths.tolist()) == {null, full}
    assert (lengths == null).float().mean().item() == pytest.approx(0.25, abs=0.03)


def test_null_longer_than_the_captions(make_text_encoder) -> None:
    """A null prompt with more tokens than any caption widens the batch, and the kept rows keep their masks."""
    text_encoder = make_text_encoder()
    tokens, null = text_encoder.tokenize(["", ""]), text_encoder.tokenize(["a blue square on a white background"])
    mixed = drop_captions(tokens, null, torch.tensor([True, False]))
    assert mixed.mask.shape == (2, null.mask.shape[1])
    assert torch.equal(mixed.input_ids[0], null.input_ids[0])
    assert mixed.mask[1].sum() == tokens.mask[1].sum()
    assert mixed.mask[1, : tokens.mask.shape[1]].all()


def test_labels_and_their_null() -> None:
    """A label-conditional network trains on labels, and dropped ones become the null label."""
    config = FlagDiTConfig(
        hidden_size=16, depth=1, num_heads=2, num_kv_heads=2, ffn_hidden_size=32, conditioning_size=16, num_classes=5
    )
    model, seen = FlagDiT(config), []

    def recorded(x_t, t, labels):
        seen.append(labels)
        return model(x_t, t, labels=labels)

    batch = Batch(latents=torch.randn(3, 4, 4, 4), labels=torch.tensor([0, 1, 4]))
    _loss(recorded, None, batch, null=5)
    _loss(recorded, None, batch, dataclasses.replace(CONFIG, caption_dropout=1.0), null=5)
    assert seen[0].tolist() == [0, 1, 4]
    assert seen[1].tolist() == [5, 5, 5]


def test_what_is_missing_is_said(make_model, make_text_encoder) -> None:
    """No captions, too few or too many of them, is an error of ours, also where a part is computed that has enough."""
    model, text_encoder = make_model(), make_text_encoder()
    with pytest.raises(ConfigError, match="needs captions"):
        _loss(model, text_encoder, Batch(latents=torch.randn(2, 4, 4, 4)))
    with pytest.raises(ShapeError, match="as many captions as latents, 2, got 1"):
        _loss(model, text_encoder, Batch(latents=torch.randn(2, 4, 4, 4), captions=["a"]))
    with pytest.raises(ShapeError, match="as many captions as latents, 2, got 3"):
        _loss(model, text_encoder, Batch(latents=torch.randn(2, 4, 4, 4), captions=["a"] * 3), part=slice(0, 2))
    with pytest.raises(ShapeError, match="as many labels as latents, 2, got 3"):
        _loss(model, None, Batch(latents=torch.randn(2, 4, 4, 4), labels=torch.arange(3)), null=5, part=slice(0, 2))
    with pytest.raises(ConfigError, match="needs labels"):
        _loss(model, None, Batch(latents=torch.randn(2, 4, 4, 4)), null=5)


def test_bfloat16_keeps_losses_in_float32(make_model, make_text_encoder) -> None:
    """Under autocast the loss is float32 and within bfloat16's precision of the float32 one, but not equal to it."""
    model, text_encoder = make_model(), make_text_encoder()
    batch = Batch(latents=torch.randn(2, 4, 8, 8), captions=["a red circle", "two stars"])
    exact = _loss(model, text_encoder, batch)
    half = _loss(model, text_encoder, batch, dataclasses.replace(CONFIG, precision="bfloat16"))
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(exact.item(), rel=2e-2)
    assert half.item() != exact.item()
