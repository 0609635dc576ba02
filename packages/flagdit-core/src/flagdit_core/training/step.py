"""The loss of one batch.

Shape suffixes: B examples, L text tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Generator, Tensor, nn

from flagdit_core.errors import ConfigError, ShapeError
from flagdit_core.flow import get_path, interpolate, prediction_loss, reward_loss, sample_timesteps
from flagdit_core.layout import Latents
from flagdit_core.text_encoder import TextEncoder, TokenBatch
from flagdit_core.training.config import TrainingConfig
from flagdit_core.training.data import Batch


@dataclass(frozen=True)
class Drawn:
    """What a step asks the network, of some examples of a batch: the answers do not depend on the others.

    Attributes:
        batch: These examples.
        x1: Their latents, float32, on the device.
        x0: Noise.
        t_B: Times.
        dropped_B: Whose caption or label is not told.
    """

    batch: Batch
    x1: Latents
    x0: Latents
    t_B: Tensor
    dropped_B: Tensor


def draw(
    batch: Batch, config: TrainingConfig, *, device: torch.device, generator: Generator, part: slice = slice(None)
) -> Drawn:
    """Times, noise and dropped captions from the generator.

    Args:
        batch: Latents, equal or not.
        config: Distribution of times, and dropout.
        device: Where the network is.
        generator: On that device.
        part: Which examples of the batch; their times and noise do not depend on it.

    Returns:
        What to ask the network.
    """
    x0, count = _noise(batch.latents, generator), len(batch.latents)
    t_B = sample_timesteps(config.timesteps, count, generator=generator)
    dropped_B = torch.rand(count, generator=generator, device=device) < config.caption_dropout
    batch = batch.part(part)
    return Drawn(batch, _moved(batch.latents, device), x0[part], t_B[part], dropped_B[part])


def predict(
    model: Callable[..., Latents],
    text_encoder: TextEncoder | None,
    drawn: Drawn,
    config: TrainingConfig,
    *,
    null: TokenBatch | int | None,
) -> Latents:
    """What the network answers.

    Args:
        model: The network: (latents, times, caption=, caption_mask=) or (latents, times, labels=) to its prediction.
        text_encoder: For a text-conditional network.
        drawn: What to ask it.
        config: Path and precision.
        null: What replaces a dropped caption (the null prompt's tokens, of one row) or a dropped label (its index).

    Returns:
        In the form of the latents, differentiable in all trained parameters.
    """
    with torch.autocast(drawn.t_B.device.type, dtype=torch.bfloat16, enabled=config.precision == "bfloat16"):
        condition = _condition(text_encoder, drawn.batch, drawn.dropped_B, null)
        x_t = interpolate(get_path(config.path), drawn.x0, drawn.x1, drawn.t_B)
        return model(x_t, drawn.t_B, **condition)


def training_loss(
    model: Callable[..., Latents],
    text_encoder: TextEncoder | None,
    batch: Batch,
    config: TrainingConfig,
    *,
    null: TokenBatch | int | None,
    device: torch.device,
    generator: Generator,
    part: slice = slice(None),
    reference: Latents | None = None,
) -> Tensor:
    """The loss of a batch, at times and with noise from the generator: of flow matching, or of rewards if it has them.

    Args:
        model: As in :func:`predict`.
        text_encoder: For a text-conditional network.
        batch: Latents, equal or not, with captions or labels.
        config: Distribution of times, path, prediction, weighting, dropout and precision; the strength of rewards.
        null: As in :func:`predict`.
        device: Where the network is.
        generator: On that device.
        part: Which examples of the batch; their times and noise do not depend on it.
        reference: What the network that made the batch answers, for a batch with rewards; what it answers where no
            caption is told is to stay.

    Returns:
        Scalar float32, the mean over these examples, differentiable in all trained parameters.

    Raises:
        ConfigError: The batch has no captions where there is a text encoder, or no labels where there is none.
        ShapeError: Captions or labels are not as many as latents.
    """
    _check_conditions(text_encoder, batch, len(batch.latents))
    drawn = draw(batch, config, device=device, generator=generator, part=part)
    output = predict(model, text_encoder, drawn, config, null=null)
    pairs, path = (drawn.x1, drawn.x0, drawn.t_B), get_path(config.path)
    if drawn.batch.rewards is None:
        losses_B = prediction_loss(output, *pairs, path=path, prediction=config.prediction, weighting=config.weighting)
    else:
        assert reference is not None
        rewards_B = drawn.batch.rewards.to(drawn.t_B).masked_fill(drawn.dropped_B, 0.5)
        losses_B = reward_loss(
            output,
            reference,
            *pairs,
            rewards_B,
            strength=config.reward_strength,
            path=path,
            prediction=config.prediction,
        )
    return losses_B.mean()


def drop_captions(tokens: TokenBatch, null: TokenBatch, dropped_B: Tensor) -> TokenBatch:
    """The tokens with some rows replaced by the null prompt's.

    Args:
        tokens: (B, L).
        null: (1, L'), padded to the same length here, or the tokens to its.
        dropped_B: (B,) bool.

    Returns:
        (B, max(L, L')).
    """
    length = max(tokens.mask.shape[1], null.mask.shape[1])
    tokens, null = _padded(tokens, length), _padded(null, length)
    return TokenBatch(
        input_ids=torch.where(dropped_B[:, None], null.input_ids, tokens.input_ids),
        mask=torch.where(dropped_B[:, None], null.mask, tokens.mask),
        dropped=tokens.dropped,
    )


def _condition(
    text_encoder: TextEncoder | None, batch: Batch, dropped_B: Tensor, null: TokenBatch | int | None
) -> dict[str, Tensor]:
    """The keyword arguments that tell the network what to draw."""
    device = dropped_B.device
    if text_encoder is None:
        assert batch.labels is not None
        return {"labels": batch.labels.to(device).masked_fill(dropped_B, cast(int, null))}
    assert batch.captions is not None
    tokens = batch.captions if isinstance(batch.captions, TokenBatch) else text_encoder.tokenize(batch.captions)
    tokens = drop_captions(tokens.to(device), cast(TokenBatch, null).to(device), dropped_B)
    features, mask = text_encoder.encode(tokens)
    return {"caption": features, "caption_mask": mask}


def _padded(tokens: TokenBatch, length: int) -> TokenBatch:
    missing = length - tokens.mask.shape[1]
    if missing == 0:
        return tokens
    return TokenBatch(
        # the value under a False mask is not read: repeat a token that is certainly in the vocabulary
        input_ids=torch.cat([tokens.input_ids, tokens.input_ids[:, -1:].expand(-1, missing)], dim=1),
        mask=nn.functional.pad(tokens.mask, (0, missing)),
        dropped=tokens.dropped,
    )


def _moved(latents: Latents, device: torch.device) -> Latents:
    if isinstance(latents, Tensor):
        return latents.to(device, torch.float32, non_blocking=True)
    return [latent.to(device, torch.float32, non_blocking=True) for latent in latents]


def _noise(latents: Latents, generator: Generator) -> Latents:
    if isinstance(latents, Tensor):
        return torch.randn(latents.shape, generator=generator, device=generator.device)
    return [torch.randn(latent.shape, generator=generator, device=generator.device) for latent in latents]


def _check_conditions(text_encoder: TextEncoder | None, batch: Batch, expected: int) -> None:
    if text_encoder is None:
        if batch.labels is None:
            raise ConfigError("training without a text encoder needs labels, but the batch has none")
        what, count = "labels", len(batch.labels)
    else:
        if batch.captions is None:
            raise ConfigError("training with a text encoder needs captions, but the batch has none")
        captions = batch.captions.dropped if isinstance(batch.captions, TokenBatch) else batch.captions
        what, count = "captions", len(captions)
    if count != expected:
        raise ShapeError(f"expected as many {what} as latents, {expected}, got {count}")
