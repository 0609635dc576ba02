"""Batches that the networks make themselves, and rewards."""

import dataclasses

import pytest
import torch

from flagdit_core.errors import ConfigError
from flagdit_core.training import Batch, Rollouts, train

GOOD, BAD = 1.0, -1.0


class Watching:
    """Latents of one value or the other, of which one is good; notes what the network is while it is asked."""

    def __init__(self, model) -> None:
        self.model, self.seen = model, []

    def batch(self, step, *, batch_size, seed):
        """Depends on the weights, as what networks make does."""
        bias = self.model.final_layer.linear.bias
        self.seen.append((bias.clone(), self.model.training, torch.is_grad_enabled()))
        values = torch.tensor([GOOD, BAD]).repeat(batch_size // 2)
        latents = values[:, None, None, None].expand(-1, 4, 4, 4) + bias.mean()
        return Batch(latents=latents, captions=["a red circle"] * batch_size, rewards=(values == GOOD).float())


@pytest.fixture
def rewarded(make_model, make_text_encoder, config, tmp_path):
    """``rewarded(name, **settings)``: a run on fresh networks, and its source."""

    def call(name, *, stop_after=None, resume=False, **settings):
        model = make_model()
        source = Watching(model)
        chosen = dataclasses.replace(config, batch_size=4, updates_per_batch=2, **settings)
        options = {"stop_after": stop_after, "resume": resume}
        return train(model, make_text_encoder(), Rollouts(source=source), chosen, tmp_path / name, **options), source

    return call


def test_made_by_the_averaged_networks(rewarded) -> None:
    """Each batch is asked for when the updates before are done, while the average is in place, without gradients."""
    result, source = rewarded("run")
    biases, training, gradients = zip(*source.seen, strict=True)
    assert len(biases) == 6 and not any(training) and not any(gradients)
    again, _ = rewarded("again", stop_after=5)
    assert torch.equal(biases[5], again.ema.average["model.final_layer.linear.bias"])
    assert not torch.equal(biases[5], result.model.final_layer.linear.bias)


def test_goes_towards_what_is_good(rewarded, make_model, make_text_encoder) -> None:
    """The network's velocity moves to the good value; with the rewards of both taken for equal it does not."""

    def mean_velocity(model, text_encoder):
        with torch.no_grad():
            features, mask = text_encoder.encode(text_encoder.tokenize(["a red circle"] * 64))
            noise = torch.randn(64, 4, 4, 4, generator=torch.Generator().manual_seed(0))
            return model(noise, torch.full((64,), 0.3), features, mask).mean().item()

    before = mean_velocity(make_model(), make_text_encoder())
    result, _ = rewarded("run", caption_dropout=0.0)
    after = mean_velocity(result.model, result.text_encoder)
    kept, _ = rewarded("dropped", caption_dropout=1.0)  # nothing that is told: to be answered as before
    stayed = mean_velocity(kept.model, kept.text_encoder)
    assert after - before > 0.1
    assert abs(stayed - before) < 0.3 * (after - before)


def test_resumed_is_uninterrupted(rewarded) -> None:
    """Bit for bit, although each batch follows from the weights."""
    whole, _ = rewarded("whole")
    rewarded("halves", stop_after=3)
    halves, _ = rewarded("halves", resume=True)
    pairs = zip(whole.model.parameters(), halves.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_not_ahead(rewarded) -> None:
    """A batch cannot be made before the weights that make it."""
    with pytest.raises(ConfigError, match="need prefetch_batches=0 and one process, got prefetch_batches=2"):
        rewarded("run", prefetch_batches=2)
