"""VideoPipeline: what a call returns, what decides a film, and what bad arguments get."""

import copy
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from flagdit_core.errors import CodecError, ConfigError, OutOfMemoryError, ShapeError
from lumina_video import Film, VideoPipeline
from lumina_video.codec import FrameCodec
from lumina_video.pipeline import DecodedFrames

PROMPT = "a red circle moves up"


def latents_of(pipe: VideoPipeline, prompt: Any = PROMPT, **arguments: Any) -> Tensor:
    """The latents of a call."""
    return pipe(prompt, **arguments).latents


def test_default_call_gives_a_film_of_the_models_own_kind(pipe: VideoPipeline) -> None:
    """One prompt gives one film of the default size, length and rate, and the report holds the drawn seed."""
    output = pipe(PROMPT)
    (film,) = output.films
    frames = film.to_numpy()
    assert (frames.shape, frames.dtype, film.fps, film.seconds) == ((6, 32, 48, 3), np.uint8, 8.0, 0.75)
    assert output.latents.shape == (1, 4, 6, 4, 6)
    settings = output.report.settings
    assert (settings["num_frames"], settings["fps"], settings["height"], settings["width"]) == (6, 8.0, 32, 48)
    again = pipe(PROMPT, seed=settings["seeds"][0])
    assert np.array_equal(again.films[0].to_numpy(), frames)


def test_frames_are_the_decoded_latents(pipe: VideoPipeline) -> None:
    """What a film shows is what the codec decodes, in 8 bits, the same each time that it is gone through."""
    output = pipe([PROMPT, "a blue square turns clockwise"], seed=1)
    for film, latent in zip(output.films, output.latents, strict=True):
        pixels = pipe.components.codec.decode(latent[None])[0]
        expected = (((pixels + 1) / 2).clamp(0, 1) * 255).round().byte().permute(1, 2, 3, 0).numpy()
        assert np.array_equal(film.to_numpy(), expected)
        assert np.array_equal(film.to_numpy(), expected)


def test_a_causal_pipeline(causal_pipe: VideoPipeline) -> None:
    """Nine frames in three latent frames; a picture is a film of one frame; other lengths name their neighbours."""
    output = causal_pipe(PROMPT, seed=1)
    assert output.latents.shape == (1, 4, 3, 4, 6)
    assert output.films[0].to_numpy().shape == (9, 32, 48, 3)
    assert causal_pipe(PROMPT, num_frames=1, seed=1).films[0].to_numpy().shape == (1, 32, 48, 3)
    with pytest.raises(CodecError, match="got 8; the nearest are 5 and 9"):
        causal_pipe(PROMPT, num_frames=8)


def test_a_film_depends_on_prompt_seed_and_number_alone(pipe: VideoPipeline) -> None:
    """Batches, their order, other prompts and other films change nothing; film 2 of 3 is reproducible alone."""
    three = latents_of(pipe, [PROMPT, "a star rests"], num_videos_per_prompt=3, seed=[5, 6])
    assert three.shape == (6, 4, 6, 4, 6)
    torch.testing.assert_close(latents_of(pipe, first_video_index=1, seed=5)[0], three[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(latents_of(pipe, "a star rests", seed=6)[0], three[3], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(three[0], three[1], atol=1e-2)


def test_arguments_reach_the_sampler(pipe: VideoPipeline) -> None:
    """Each argument that is given changes the film, and the rate alone does not."""
    base = latents_of(pipe, seed=1)
    changes: list[dict[str, Any]] = [
        {"prompt": "a blue square rests"},
        {"seed": 2},
        {"negative_prompt": "a star"},
        {"next_prompt": "a blue square rests"},
        {"num_inference_steps": 5},
        {"guidance_scale": 6.0},
        {"solver": "heun"},
        {"time_shift": 3.0},
        {"settings": pipe.components.sampling.replace(guidance_channels=2)},
    ]
    for change in changes:
        assert not torch.allclose(latents_of(pipe, **{"seed": 1, **change}), base, atol=1e-4), change
    output = pipe(PROMPT, seed=1, fps=24.0)
    assert torch.equal(output.latents, base)
    assert output.films[0].fps == 24.0


def test_any_size_and_length(pipe: VideoPipeline) -> None:
    """Width and height are independent multiples of 16, and the length is any."""
    for width, height, count in ((16, 16, 1), (160, 32, 2), (16, 96, 9)):
        film = pipe(PROMPT, width=width, height=height, num_frames=count, num_inference_steps=1).films[0]
        assert film.to_numpy().shape == (count, height, width, 3)


@pytest.mark.parametrize(("kind", "num_frames", "smaller"), [("pipe", 12, 5), ("causal_pipe", 9, 3)])
def test_large_films_follow_smaller_ones(
    kind: str, num_frames: int, smaller: int, request: pytest.FixtureRequest
) -> None:
    """With projected flow frames are enlarged, and in a film that is much longer than in training shown for longer."""
    pipe: VideoPipeline = request.getfixturevalue(kind)
    settings = pipe.components.sampling.replace(projected_flow=True)
    large = {"height": 48, "width": 64, "num_frames": num_frames, "seed": 1}
    once, twice = (pipe(PROMPT, **large, settings=given) for given in (None, settings))
    assert twice.report.settings["projected_from"] == [smaller, 4, 4]
    assert twice.latents.shape == once.latents.shape
    assert not torch.allclose(once.latents, twice.latents, atol=1e-2)
    slow = pipe.enlarged(torch.randn(once.latents[0, :, :smaller, :4, :4].shape), tuple(once.latents.shape[1:]))
    assert slow.shape == once.latents.shape[1:]


def test_a_transition_begins_and_ends_with_its_prompts(pipe: VideoPipeline) -> None:
    """After one Euler step without guidance, each frame is the two prompts' own, mixed in the shares of the ramp."""

    def one_step(prompt: str, **arguments: Any) -> Tensor:
        return latents_of(pipe, prompt, seed=3, num_frames=5, num_inference_steps=1, guidance_scale=1.0,
                          solver="euler", **arguments)[0]  # fmt: skip

    here, there = one_step(PROMPT), one_step("a blue square turns")
    both = one_step(PROMPT, next_prompt="a blue square turns")
    for number, share in enumerate((0.0, 0.25, 0.5, 0.75, 1.0)):
        expected = (1 - share) * here[:, number] + share * there[:, number]
        torch.testing.assert_close(both[:, number], expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(here, there, atol=1e-2)


def test_a_next_prompt_too_long_is_told(pipe: VideoPipeline) -> None:
    """What it says past the most tokens is reported, as of the prompt itself."""
    assert "dropped" in pipe(PROMPT, next_prompt="a red circle and " * 20).report.deviations[0]


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"next_prompt": " "}, ConfigError, "needs a next_prompt"),
        ({"next_prompt": ["a"]}, ConfigError, "needs a next_prompt"),
        ({"image": "a.png"}, ConfigError, "expected a PIL image, got str"),
        ({"last_image": torch.zeros(3, 32, 48)}, ConfigError, "expected a PIL image, got Tensor"),
        ({"video": "a.mp4"}, ConfigError, "video must be a Film, got str; read_film reads one"),
        ({"next_prompt": "a", "num_frames": 1}, ConfigError, "2 latent frames"),
        ({"height": 100}, ShapeError, "multiple of 16, got 100; the nearest are 96 and 112"),
        ({"width": 0}, ShapeError, "positive"),
        ({"num_frames": 0}, ConfigError, "num_frames must be a whole number of at least 1, got 0"),
        ({"num_frames": -3}, ConfigError, "num_frames"),
        ({"num_frames": 2.5}, ConfigError, "got 2.5"),
        ({"fps": 0}, ConfigError, "fps must be a number above 0, got 0"),
        ({"fps": float("nan")}, ConfigError, "got nan"),
        ({"fps": float("inf")}, ConfigError, "got inf"),
        ({"fps": "8"}, ConfigError, "got '8'"),
        ({"width": 10**6, "height": 10**6}, OutOfMemoryError, "1000000x1000000"),
        ({"num_frames": 10**12}, OutOfMemoryError, "1 film of 1000000000000 frames of 48x32"),
    ],
)
def test_wrong_arguments_are_one_line(
    arguments: dict[str, Any], error: type[Exception], says: str, pipe: VideoPipeline
) -> None:
    """Each mistake raises our error with one line that says what was expected."""
    with pytest.raises(error, match=says) as caught:
        pipe(PROMPT, **arguments)
    assert "\n" not in str(caught.value)


def test_a_model_without_a_length_asks_for_it(pipe: VideoPipeline) -> None:
    """Where neither the call nor the model says how long, that is said."""
    parts = pipe.components
    bare = VideoPipeline(type(parts)(text_encoder=parts.text_encoder, model=parts.model, codec=parts.codec,
                                     sampling=parts.sampling, defaults={"height": 32, "width": 48}))  # fmt: skip
    with pytest.raises(ConfigError, match="give num_frames and fps"):
        bare(PROMPT)
    assert len(bare(PROMPT, num_frames=2, fps=8).films[0].frames) == 2


def test_save_and_load_give_the_identical_causal_film(causal_pipe: VideoPipeline, tmp_path: Path) -> None:
    """The codec is found by the class its folder names; films are equal bit for bit, with the same defaults."""
    causal_pipe.save_pretrained(tmp_path / "model")
    loaded = VideoPipeline.from_pretrained(tmp_path / "model")
    assert loaded.components.sampling == causal_pipe.components.sampling
    assert type(loaded.components.codec) is type(causal_pipe.components.codec)
    one, other = (each(PROMPT, seed=3) for each in (loaded, causal_pipe))
    assert torch.equal(one.latents, other.latents)
    assert np.array_equal(one.films[0].to_numpy(), other.films[0].to_numpy())


def test_running_out_of_memory_while_decoding_says_the_length(
    pipe: VideoPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the allocator raises while a film is gone through becomes one line."""
    film = pipe(PROMPT).films[0]

    def burst(*_: object, **__: object) -> Tensor:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr("flagdit_core.picture_codec.PictureCodec.decode", burst)
    with pytest.raises(OutOfMemoryError, match="decoding a film of 6 frames"):
        film.to_numpy()


@pytest.mark.parametrize("kind", ["pipe", "causal_pipe"])
def test_a_film_follows_its_pipeline_elsewhere(kind: str, request: pytest.FixtureRequest) -> None:
    """Frames are decoded where the codec is by then, not where their latent was made."""
    codec = copy.deepcopy(request.getfixturevalue(kind).components.codec).to(device="meta")
    assert [frame.device.type for frame in codec.decode_frames(torch.zeros(4, 1, 4, 6))] == ["meta"]


def test_memory_is_flat_in_length(frame_codec: FrameCodec) -> None:
    """Going through ten times as many frames holds no more of them: NumPy's memory, at its peak, does not grow."""

    def peak(count: int) -> int:
        film = Film(frames=DecodedFrames(codec=frame_codec, latent=torch.zeros(4, count, 8, 8)), fps=8.0)
        tracemalloc.start()
        for _ in film.frames:
            pass
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(2)
    assert peak(40) < peak(4) + 64 * 64 * 3
