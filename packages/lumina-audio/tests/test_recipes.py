"""The recipes' data, and the nano recipe at a tiny size."""

import codecs
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from flagdit_core import FlagDiTConfig
from flagdit_core.errors import OutputError
from flagdit_core.recipes import TextEncoderRecipe, WorldRecipe
from flagdit_core.training import TrainingConfig
from lumina_audio import AudioPipeline
from lumina_audio.mel_codec import MelCodec
from lumina_audio.phonemes import Spelling
from lumina_audio.recipes.nano import NANO, PHONEMES, caption, nano, phonemes
from lumina_audio.recipes.sounds import WORDINGS, SoundKind, encode_sounds, sound_stage
from lumina_audio.world import CATEGORIES, is_held_out, parse
from lumina_audio.world.vocabulary import KINDS, SPOKEN_WORDS


@pytest.fixture
def codec_folder(mel_codec: MelCodec, tmp_path: Path) -> Path:
    """The tiny codec as a folder."""
    mel_codec.save_pretrained(tmp_path / "vae")
    return tmp_path / "vae"


@pytest.mark.parametrize("category", CATEGORIES)
def test_encoded_sounds(category: str, codec_folder: Path) -> None:
    """Latents of the kind's duration, and wordings that all assert the same, of its category, seen in training."""
    kind = SoundKind(seconds=3.2, category=category)
    latents, captions = encode_sounds(kind, 3, np.random.default_rng(kind.seed), codec_folder)
    assert latents.shape == (3, 6, 50) and latents.dtype == torch.float32 and not latents.requires_grad
    assert not torch.equal(latents[0], latents[1])
    for wordings in captions:
        claims = {parse(wording) for wording in wordings}
        assert len(wordings) == WORDINGS and len(claims) == 1
        assert not is_held_out(claims.pop())
        assert {parse(wording).category for wording in wordings} == {category}


def test_encoding_is_a_pure_function_of_the_generator(codec_folder: Path) -> None:
    """Equal generators give equal latents and captions; another one gives others."""
    kind = SoundKind(seconds=1.6, category="one sound")
    first, again, other = (encode_sounds(kind, 2, np.random.default_rng(seed), codec_folder) for seed in (1, 1, 2))
    assert torch.equal(first[0], again[0]) and first[1] == again[1]
    assert not torch.equal(first[0], other[0]) and first[1] != other[1]


def test_captions_that_tell_all(codec_folder: Path) -> None:
    """They leave out neither pitch nor length where there is one, and are seen in training as others are."""
    kind = SoundKind(seconds=3.2, category="sounds in order", all_told=True)
    _, captions = encode_sounds(kind, 12, np.random.default_rng(0), codec_folder)
    claims = [parse(wordings[0]) for wordings in captions]
    assert not any(map(is_held_out, claims))
    for event in (event for claim in claims for event in claim.events):
        assert (event.pitch is None) == (not KINDS[event.kind].pitches)
        assert (event.length is None) == (not KINDS[event.kind].lengths)


def test_kinds_are_told_apart() -> None:
    """Categories of one duration may share a batch, but neither files nor seeds; durations share nothing."""
    stage = sound_stage(steps=1, sounds=2, seconds=3.2, categories=dict.fromkeys(CATEGORIES, 1.0))
    kinds = [part.kind for part in stage.parts] + [SoundKind(seconds=1.6, category=CATEGORIES[0])]
    assert len({kind.name for kind in kinds}) == len({kind.seed for kind in kinds}) == 4
    assert replace(kinds[0], spelling="phonemes").name not in {kind.name for kind in kinds}
    all_told = replace(kinds[0], all_told=True)
    assert all_told.name not in {kind.name for kind in kinds} and all_told.seed not in {kind.seed for kind in kinds}
    assert [kind.shape == kinds[0].shape for kind in kinds] == [True, True, True, False]
    assert kinds[0].defaults == {"audio_length_in_s": 3.2, "spelling": "characters"}


def test_captions_cover_the_world() -> None:
    """The tokenizer's captions are of every category."""
    generator = np.random.default_rng(0)
    assert {parse(caption(generator)).category for _ in range(40)} == set(CATEGORIES)


def _tiny(recipe: WorldRecipe, spelling: Spelling, folder: Path, codec_folder: Path) -> WorldRecipe:
    """A recipe in two steps."""
    return replace(
        recipe,
        output_dir=folder,
        codec=codec_folder,
        model=FlagDiTConfig(
            in_channels=6, patch_size=1, hidden_size=32, depth=1, num_heads=2, num_kv_heads=2, ffn_hidden_size=64,
            conditioning_size=32, caption_size=16,
        ),
        text_encoder=TextEncoderRecipe(vocab_size=500, num_layers=1, num_heads=2, captions=100),
        stages=(
            sound_stage(steps=1, sounds=2, seconds=1.6, categories={"one sound": 1.0}, spelling=spelling),
            sound_stage(
                steps=1, sounds=2, seconds=1.6, categories={"one sound": 0.5, "spoken words": 0.5}, spelling=spelling
            ),
        ),
        training=TrainingConfig(num_steps=2, batch_size=2, warmup_steps=0, sample_every=2, checkpoint_every=2),
        sampling=recipe.sampling.replace(num_inference_steps=1, guidance_scale=1.0),
        workers=1,
        sampled_prompts=3,
    )  # fmt: skip


def test_nano_in_two_steps(codec_folder: Path, tmp_path: Path) -> None:
    """The recipe ends in a model folder that makes sounds of the trained duration, and a second run is refused."""
    config = _tiny(NANO, "characters", tmp_path / "run", codec_folder)
    pipe = AudioPipeline.from_pretrained(nano(config))
    output = pipe("a low bell", seed=1)
    assert (output.audios[0].seconds, output.latents.shape) == (1.6, (1, 6, 25))
    assert pipe.spelling == "characters"
    rows = (config.output_dir / "samples" / "verified.csv").read_text().splitlines()
    assert {row.split(",")[1] for row in rows[1:]} == set(CATEGORIES)
    with pytest.raises(OutputError, match="already there"):
        nano(config, resume=True)


@pytest.mark.usefixtures("fake_espeak")
def test_phonemes_in_two_steps(codec_folder: Path, tmp_path: Path) -> None:
    """What captions say is spelled in training and for the tokenizer, and the folder says so to those who use it."""
    config = _tiny(PHONEMES, "phonemes", tmp_path / "run", codec_folder)
    folder = phonemes(config)
    assert AudioPipeline.from_pretrained(folder).spelling == "phonemes"
    (shard,) = (config.output_dir / "encoded").glob("*/*spoken-words*")
    with safe_open(shard, framework="pt") as file:
        captions = file.metadata()["captions"]
    said = {word for words in re.findall(r'\\"(.*?)\\"', captions) for word in words.split()}
    spelled = {codecs.encode(word, "rot13") for word in SPOKEN_WORDS}
    assert said and said <= spelled
    vocabulary = json.loads((folder / "tokenizer" / "tokenizer.json").read_text())["model"]["vocab"]
    assert {word for word in spelled if len(word) > 3} & {piece.strip("\u0120") for piece in vocabulary}


def test_the_shipped_recipe_agrees_with_itself() -> None:
    """The network reads the shipped codec's latents one by one, and is trained at the length that it samples."""
    assert (NANO.model.in_channels, NANO.model.patch_size) == (16, 1)
    for recipe, spelling in ((NANO, "characters"), (PHONEMES, "phonemes")):
        for part in (part for stage in recipe.stages for part in stage.parts):
            assert part.kind.shape == (3200,) and part.kind.defaults["spelling"] == spelling
    assert NANO.sampling.training_shape == (1, 1, 50)
