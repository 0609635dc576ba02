"""A fifth modality in a page: curves from sentences, by the network, sampler, trainer and folder format of the others.

What a modality brings is its codec and what a call returns. To have the ``lumina`` command find it too, a package names
``MODALITY`` in the entry point group ``lumina.modalities``.
"""

import json
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from safetensors.torch import load_file, save_file
from torch import Tensor

from flagdit_core import FlagDiT, FlagDiTConfig
from flagdit_core.modalities import Modality
from flagdit_core.pipeline import Components, Pipeline, SamplingSettings
from flagdit_core.pipeline.arguments import check_prompts
from flagdit_core.report import Report
from flagdit_core.text_encoder.small import build_small_text_encoder
from flagdit_core.training import Batch, TrainingConfig, train

LENGTH, FOLD, STEPS = 48, 4, 400
CAPTIONS = ("a rising curve", "a falling curve", "a slow wave", "a fast wave")
MODALITY = Modality(
    name="curve",
    distribution="lumina-curve",
    endings=(".csv",),
    pipeline="examples.fifth_modality:CurvePipeline",
    generate="",  # the three that only the command needs
    save="",
    read_metadata="",
)


class CurveCodec:
    """Curves (N, L) to latents (N, C, L / C) and back: C neighbours become the channels of one cell."""

    latent_channels, stride, shift = FOLD, (FOLD, 1, 1), 0.0
    library_class = ("examples.fifth_modality", "CurveCodec")

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def encode(self, media: Tensor) -> Tensor:
        """Latents of about unit variance."""
        return self.scale * rearrange(media, "n (l c) -> n c l", c=FOLD)

    def decode(self, latents: Tensor) -> Tensor:
        """The curves."""
        return rearrange(latents, "n c l -> n (l c)") / self.scale

    def to(self, *, device: object = None, dtype: object = None) -> "CurveCodec":
        """It has no weights to move."""
        return self

    def save_pretrained(self, folder: Path) -> None:
        """Write it as every part of a model folder is written."""
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"_class_name": "CurveCodec"}))
        save_file({"scale": torch.tensor(self.scale)}, folder / "codec.safetensors")


class CurvePipeline(Pipeline):
    """Text to curves of any length."""

    modality = MODALITY

    @staticmethod
    def load_codec(folder: Path, *, dtype: torch.dtype) -> CurveCodec:
        """The codec in a model's ``vae`` folder."""
        return CurveCodec(float(load_file(folder / "codec.safetensors")["scale"]))

    @torch.no_grad()
    def __call__(self, prompt: str | list[str], *, length: int = LENGTH, seed: int | None = None) -> Tensor:
        """Curves (N, length) of what the prompts say."""
        settings = self.components.sampling
        guided = settings.guidance_scale != 1.0
        batch = check_prompts(
            prompt,
            negative_prompt=None,
            guided=guided,
            count=1,
            first=0,
            seed=seed,
            from_latents=False,
            artifact="curve",
        )
        shape = (FOLD, length // FOLD)
        what, size = f"{len(batch)} curves", 4 * length * len(batch)
        latents = self.sample(batch, shape, settings, what=what, num_bytes=size, progress=False, report=Report())
        return self.components.codec.decode(latents)


class Curves:
    """Batches of curves; a pure function of (seed, step), so that runs can be resumed exactly."""

    def __init__(self, codec: CurveCodec) -> None:
        self._codec = codec

    def batch(self, step: int, *, batch_size: int, seed: int) -> Batch:
        """The batch of a step."""
        generator = np.random.default_rng((seed, step))
        kinds, phases = generator.integers(4, size=batch_size), generator.random((batch_size, 1))
        t = np.linspace(0, 1, LENGTH)[None]
        shapes = np.stack(
            [(2 * t - 1) * (0.5 + phases / 2), (1 - 2 * t) * (0.5 + phases / 2)]
            + [np.sin(2 * np.pi * (periods * t + phases)) for periods in (1, 4)]
        )
        curves = torch.from_numpy(shapes[kinds, np.arange(batch_size)]).float()
        return Batch(latents=self._codec.encode(curves), captions=[CAPTIONS[kind] for kind in kinds])


def main() -> None:
    """Train a small model, write it, read it back, and make a curve of each kind at the trained and another length."""
    codec = CurveCodec(scale=1.5)
    text_encoder = build_small_text_encoder(
        CAPTIONS, vocab_size=300, hidden_size=32, num_layers=1, num_heads=2, max_tokens=16, seed=0
    )
    torch.manual_seed(0)
    config = FlagDiTConfig(
        in_channels=FOLD, patch_size=1, hidden_size=64, depth=3, num_heads=4, num_kv_heads=4, ffn_hidden_size=128,
        conditioning_size=64, caption_size=32,
    )  # fmt: skip
    settings = TrainingConfig(
        num_steps=STEPS, batch_size=32, learning_rate=2e-3, gate_learning_rate_multiplier=10.0, ema_decay=0.98
    )
    trained = train(FlagDiT(config), text_encoder, Curves(codec), settings, "runs/curves")
    with trained.ema.applied():
        parts = Components(
            text_encoder=text_encoder.eval(),
            model=trained.model,
            codec=codec,
            sampling=SamplingSettings(num_inference_steps=16, guidance_scale=2.0),
        )
        CurvePipeline(parts).save_pretrained("runs/curves/model")
    pipe = CurvePipeline.from_pretrained("runs/curves/model")
    curves, longer = pipe([*CAPTIONS], seed=1), pipe([*CAPTIONS], length=72, seed=1)
    for caption, curve, other in zip(CAPTIONS, curves, longer, strict=True):
        crossings = int((torch.sign(curve - curve.mean()).diff() != 0).sum())
        print(  # noqa: T201 - an example prints
            f"{caption}: from {curve[:4].mean():+.1f} to {curve[-4:].mean():+.1f}, crosses its mean {crossings} times; "
            f"{len(other)} values from {other.min():+.1f} to {other.max():+.1f}"
        )


if __name__ == "__main__":
    main()
