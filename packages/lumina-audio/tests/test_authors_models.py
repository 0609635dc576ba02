"""The authors' audio models, whole: their weights, integer timesteps and guidance, from a sentence to a sound."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from flagdit_core.interop.lumina_t2x import load_model
from flagdit_core.noise import latent_noise
from flagdit_core.pipeline import Components, SamplingSettings
from flagdit_core.text_encoder import build_small_text_encoder
from lumina_audio import AudioPipeline
from lumina_audio.mel_codec import MelCodec

GOLDEN = Path(__file__).parents[3] / "tests" / "data" / "parity" / "flagdit_audio"
PROMPT, STEPS, SCALE = "a low bell", 7, 3.0


@pytest.mark.parametrize("family", ["audio", "music"])
@torch.no_grad()
def test_a_sound_from_their_network(family: str, mel_codec: MelCodec) -> None:
    """The pipeline takes their Euler steps: times truncated to thousandths, all channels guided, text against null."""
    tensors = load_file(GOLDEN.with_suffix(".safetensors"))
    weights = {key.removeprefix("weights."): value for key, value in tensors.items() if key.startswith("weights.")}
    arguments = json.loads(GOLDEN.with_suffix(".json").read_text())["ctor"]
    model = load_model(weights, family=family, config=arguments).eval()
    encoder = build_small_text_encoder(
        [PROMPT], vocab_size=300, hidden_size=20, num_layers=1, num_heads=2, max_tokens=24, seed=0
    ).eval()
    sampling = SamplingSettings(num_inference_steps=STEPS, guidance_scale=SCALE)
    pipe = AudioPipeline(Components(text_encoder=encoder, model=model, codec=mel_codec, sampling=sampling))
    output = pipe(PROMPT, audio_length_in_s=0.64, seed=5)
    assert output.audios[0].seconds == 0.64

    x = latent_noise((6, 10), seed=5, index=0)[None]
    steps = torch.tensor([0, 142, 285, 428, 571, 714, 857])
    for step in steps:
        with_text, without = (_velocity(pipe, x, step, text) for text in (PROMPT, encoder.config.null_prompt))
        x = x + (without + SCALE * (with_text - without)) / STEPS
    torch.testing.assert_close(output.latents, x, rtol=1e-4, atol=1e-4)


def _velocity(pipe: AudioPipeline, x: torch.Tensor, step: torch.Tensor, text: str) -> torch.Tensor:
    """Of their network, called with an integer step."""
    encoded = pipe.components.text_encoder([text])
    velocity = pipe.components.model(x, step[None], encoded.features, encoded.mask)
    assert isinstance(velocity, torch.Tensor)
    return velocity
