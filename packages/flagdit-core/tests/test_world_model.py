"""The recipe that all shipped models share, on a made-up modality."""

from dataclasses import dataclass, replace

import pytest
import torch

from flagdit_core import FlagDiTConfig
from flagdit_core.errors import BackendUnavailableError, CheckpointError, ConfigError, OutputError
from flagdit_core.pipeline import SamplingSettings, weights_digest
from flagdit_core.recipes import (
    EncodedWorld,
    Medium,
    Part,
    Stage,
    TextEncoderRecipe,
    WorldRecipe,
    encode_shards,
    make_and_verify,
    stage_at,
    train_world_model,
    wanted_shards,
)
from flagdit_core.recipes.networks import build_text_encoder
from flagdit_core.training import TrainingConfig

from .conftest import CHANNELS, ToyCodec, ToyPipeline


@dataclass(frozen=True, kw_only=True)
class ToyKind:
    """Toys of one length."""

    length: int
    value: int = 0

    @property
    def name(self):
        """Of its files."""
        return f"{self.length}-{self.value}"

    @property
    def seed(self):
        """Numbers of its own."""
        return self.length, self.value

    @property
    def shape(self):
        """What may share a batch."""
        return (self.length,)

    @property
    def defaults(self):
        """Of a pipeline."""
        return {"length": self.length}


def encode_toys(kind, count, generator, codec_folder):
    """Latents that are the kind's value everywhere but for the first cell, which numbers them."""
    latents = torch.full((count, CHANNELS, 2, kind.length), float(kind.value))
    latents[:, 0, 0, 0] = torch.from_numpy(generator.permutation(count)).float()
    return latents, [[f"toy {kind.value} a", f"toy {kind.value} b"] for _ in range(count)]


STAGES = (
    Stage(steps=2, parts=(Part(kind=ToyKind(length=4), examples=700),)),
    Stage(
        steps=3,
        parts=(
            Part(kind=ToyKind(length=6, value=1), share=3.0, examples=5),
            Part(kind=ToyKind(length=6, value=2), share=1.0, examples=5),
            Part(kind=ToyKind(length=4), share=4.0, examples=700),
        ),
    ),
)


def describe(generator):
    """A caption."""
    return f"toy {generator.integers(3)}"


def test_stages_follow_one_another():
    """A step belongs to the stage that its number falls into, and to the last one after the end."""
    assert [stage_at(STAGES, step) for step in (0, 1, 2, 4, 9)] == [STAGES[i] for i in (0, 0, 1, 1, 1)]


def test_shards_are_made_once(tmp_path):
    """A kind that two stages use is encoded once, in files of at most 500, and not again."""
    shards = wanted_shards(STAGES, seed=0)
    assert [(shard.kind.length, shard.kind.value, shard.examples) for shard in shards] == [
        (4, 0, 500), (4, 0, 200), (6, 1, 5), (6, 2, 5)
    ]  # fmt: skip
    encode_shards(shards, encode_toys, tmp_path, tmp_path, workers=1)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(files) == 4
    encode_shards(shards, encode_toys, tmp_path, tmp_path, workers=1)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == files


def test_latents_of_another_scale_are_encoded_anew(tmp_path, toy_modality):
    """Encoded media are named by the codec's weights and by its configuration."""
    codec = tmp_path / "vae"
    ToyCodec().save_pretrained(codec)
    medium = Medium(
        modality=toy_modality, encode=encode_toys, codec=codec, stages=STAGES[:1], sampling=SamplingSettings()
    )
    for config in ("{}", "{}", '{"scale": 2.0}'):
        (codec / "config.json").write_text(config)
        medium.encoded(tmp_path / "encoded", seed=0, workers=1)
    assert len(list((tmp_path / "encoded").iterdir())) == 2


def test_batches(tmp_path):
    """Pure functions of their step, of one shape each, mixed by their shares, with the caption of each latent."""
    encode_shards(wanted_shards(STAGES, seed=0), encode_toys, tmp_path, tmp_path, workers=1)
    world, again = (EncodedWorld(STAGES, tmp_path, seed=0) for _ in range(2))
    again.batch(7, batch_size=3, seed=0)
    values, lengths = [], []
    for step in range(2, 202):
        one, other = (source.batch(step, batch_size=8, seed=0) for source in (world, again))
        assert torch.equal(one.latents, other.latents) and one.captions == other.captions
        lengths.append(one.latents.shape[-1])
        found = one.latents[:, 1, 0, 1].tolist()
        assert [caption.split()[1] for caption in one.captions] == [str(int(value)) for value in found]
        values += found
    assert 80 < lengths.count(4) < 120
    assert 2.3 < values.count(1.0) / values.count(2.0) < 3.9
    assert world.batch(0, batch_size=4, seed=0).latents.shape == (4, CHANNELS, 2, 4)
    assert not torch.equal(world.batch(0, batch_size=4, seed=1).latents, world.batch(0, batch_size=4, seed=0).latents)


def test_a_stage_has_its_own_examples(tmp_path):
    """What a later stage has more of is not learnt from before, nor is anything there twice."""
    stages = tuple(Stage(steps=1, parts=(Part(kind=ToyKind(length=4), examples=count),)) for count in (3, 503))
    encode_shards(wanted_shards(stages, seed=0), encode_toys, tmp_path, tmp_path, workers=1)
    world = EncodedWorld(stages, tmp_path, seed=0)
    few, many = (world.batch(step, batch_size=4000, seed=0).latents[:, 0, 0, 0] for step in (0, 1))
    assert sorted(few.unique().tolist()) == [0, 1, 2]
    counts = many.unique(return_counts=True)[1]  # the last three examples are numbered 0 to 2 again
    assert len(counts) == 500 and 1 < counts[:3].float().mean() / counts[3:].float().mean() < 3


@pytest.fixture
def recipe(tmp_path):
    """Two updates of a tiny network."""
    codec = tmp_path / "codec" / "vae"
    codec.parent.mkdir()
    ToyCodec().save_pretrained(codec)
    return WorldRecipe(
        output_dir=tmp_path / "run",
        codec=codec,
        model=FlagDiTConfig(
            in_channels=CHANNELS, hidden_size=32, depth=2, num_heads=2, num_kv_heads=2, ffn_hidden_size=64,
            conditioning_size=32, caption_size=16,
        ),
        text_encoder=TextEncoderRecipe(vocab_size=300, num_layers=1, num_heads=2, max_tokens=16, captions=50),
        stages=(Stage(steps=2, parts=(Part(kind=ToyKind(length=8), examples=4),)),),
        training=TrainingConfig(num_steps=2, batch_size=2, warmup_steps=0, sample_every=2, checkpoint_every=1),
        sampling=SamplingSettings(num_inference_steps=1, guidance_scale=1.0),
        workers=1,
        sampled_prompts=2,
    )  # fmt: skip


def run(recipe, modality, **options):
    """Train the recipe on the toy modality."""
    return train_world_model(recipe, modality, encode=encode_toys, describe=describe, **options)


def test_a_model_comes_out(recipe, toy_modality):
    """A whole model folder with the last stage's defaults, and pass rates by category and check on the way."""
    folder = run(recipe, toy_modality)
    index = (folder / "model_index.json").read_text()
    assert '"length": 8' in index and '"ToyPipeline"' in index
    rows = (recipe.output_dir / "samples" / "verified.csv").read_text().splitlines()
    assert rows[0] == "step,category,check,passed,of" and "2,even,shape,1,1" in rows and "2,odd,shape,0,1" in rows
    with pytest.raises(OutputError, match="already there"):
        run(recipe, toy_modality)


def test_pass_rates_of_lost_steps_are_replaced(recipe, toy_modality):
    """A run that was killed after samples later than its last checkpoint makes them again, and does not double them."""
    run(replace(recipe, training=replace(recipe.training, sample_every=1)), toy_modality)
    table = recipe.output_dir / "samples" / "verified.csv"
    whole = table.read_text()
    assert {line.split(",")[0] for line in whole.splitlines()} == {"step", "1", "2"}
    make_and_verify(ToyPipeline.from_pretrained(recipe.output_dir / "model"), toy_modality, 2, table.parent, prompts=2)
    assert table.read_text() == whole


def test_equal_settings_equal_weights(recipe, toy_modality):
    """Two runs of one recipe end in the same weights, bit by bit."""
    folders = [run(replace(recipe, output_dir=recipe.output_dir / name), toy_modality) for name in ("a", "b")]
    for part in ("transformer", "text_encoder"):
        digests = {weights_digest(folder, part=part) for folder in folders}
        assert len(digests) == 1


def test_another_seed_reads_the_same_tokens(recipe):
    """A run may be resumed with another seed; what it has learnt of its tokens still stands."""

    def scribble(generator):
        return "".join(map(chr, generator.integers(ord("a"), ord("z"), 20)))

    seeds = (replace(recipe, training=replace(recipe.training, seed=seed)) for seed in (0, 1))
    one, other = (build_text_encoder(seeded, scribble).tokenizer.get_vocab() for seeded in seeds)
    assert one == other


def test_start_from_a_shipped_model(recipe, toy_modality, components):
    """Without a step worth speaking of, the model is still the one that it started from."""
    training = replace(recipe.training, learning_rate=1e-12, weight_decay=0.0)
    network = replace(components.model.config, rope_row_stride=9)  # where patches stand may be learnt anew
    recipe = replace(recipe, model=network, start_from="toy/nano", training=training)
    made = ToyPipeline.from_pretrained(run(recipe, toy_modality)).components
    assert made.model.config == network
    for name, value in components.model.state_dict().items():
        torch.testing.assert_close(made.model.state_dict()[name], value.bfloat16().float())
    with pytest.raises(ConfigError, match="has the network"):
        run(replace(recipe, model=replace(recipe.model, depth=3), output_dir=recipe.output_dir / "b"), toy_modality)


def test_contradictions(recipe, toy_modality):
    """Steps that do not add up, and a start that is not there."""
    with pytest.raises(ConfigError, match="sum of the stages' steps, 2, got 3"):
        replace(recipe, training=replace(recipe.training, num_steps=3))
    with pytest.raises(ConfigError, match=r"prediction must be 'velocity' in a recipe, .* got 'noise'"):
        replace(recipe, training=replace(recipe.training, prediction="noise"))
    for name in ("workers", "num_threads", "sampled_prompts"):
        with pytest.raises(ConfigError, match=f"{name} must be at least 1, got 0"):
            replace(recipe, **{name: 0})
    with pytest.raises(CheckpointError, match="there is no model folder"):
        run(replace(recipe, start_from="./nowhere"), toy_modality)
    assert not recipe.output_dir.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu(recipe, toy_modality):
    """A device that is not there is one line, before anything is written."""
    with pytest.raises(BackendUnavailableError, match="device 'cuda' is not available here"):
        run(replace(recipe, device="cuda"), toy_modality)
    assert not recipe.output_dir.exists()


@pytest.mark.gpu
def test_on_a_gpu(recipe, toy_modality):
    """Training goes where it is told to, samples there, and goes on there from a checkpoint."""
    short = replace(recipe, device="cuda")
    longer = replace(short.training, num_steps=4)
    run(short, toy_modality)
    (short.output_dir / "model").rename(short.output_dir / "model-2")
    stages = (replace(short.stages[0], steps=4),)
    folder = run(replace(short, training=longer, stages=stages), toy_modality, resume=True)
    assert ToyPipeline.from_pretrained(folder).components.model.device.type == "cpu"
    assert weights_digest(folder) != weights_digest(short.output_dir / "model-2")
