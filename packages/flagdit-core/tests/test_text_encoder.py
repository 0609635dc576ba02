"""Text encoders: rules of tokens, layers and folders, on tiny models of each family made here."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from flagdit_core.errors import CheckpointError, ConfigError
from flagdit_core.text_encoder import TextEncoder, TextEncodingConfig, build_small_text_encoder

CAPTIONS = ["a small red circle left of a large blue square", "two stars over a white background"]


def _tokenizer(**special: str):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = sorted({word for caption in CAPTIONS for word in caption.split()})
    vocabulary = {token: i for i, token in enumerate([*dict.fromkeys(special.values()), *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=special["unk"]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **{f"{name}_token": token for name, token in special.items()}
    )


def _llama():
    from transformers import LlamaConfig, LlamaModel

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    return LlamaModel(LlamaConfig(vocab_size=40, **sizes)), _tokenizer(unk="<unk>", bos="<s>", eos="</s>")


def _gemma():
    from transformers import GemmaConfig, GemmaModel

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    config = GemmaConfig(vocab_size=40, head_dim=8, num_key_value_heads=1, **sizes)
    return GemmaModel(config), _tokenizer(pad="<pad>", eos="<eos>", bos="<bos>", unk="<unk>")


def _t5():
    from transformers import T5Config, T5EncoderModel

    config = T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=32, num_layers=3, num_heads=2)
    return T5EncoderModel(config), _tokenizer(pad="<pad>", eos="</s>", unk="<unk>")


def _clip():
    from transformers import CLIPTextConfig, CLIPTextModel

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    config = CLIPTextConfig(vocab_size=40, max_position_embeddings=20, eos_token_id=1, bos_token_id=0, **sizes)
    tokenizer = _tokenizer(bos="<start>", eos="<end>", unk="<end>", pad="<end>")
    return CLIPTextModel(config), tokenizer


FAMILIES = {"llama": _llama, "gemma": _gemma, "t5": _t5, "clip": _clip}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> tuple[str, Callable[..., TextEncoder]]:
    """Each family, as ``make(**settings)``."""
    torch.manual_seed(0)
    model, tokenizer = FAMILIES[request.param]()
    model.eval()

    def make(**settings: object) -> TextEncoder:
        given = {"max_tokens": 12, "add_bos": request.param != "t5"} | settings
        return TextEncoder(model, tokenizer, TextEncodingConfig(**given))

    return request.param, make


def _small(max_tokens: int = 32, **settings: int) -> TextEncoder:
    given = {"vocab_size": 320, "hidden_size": 16, "num_layers": 2, "num_heads": 2, "seed": 0} | settings
    return build_small_text_encoder(CAPTIONS, max_tokens=max_tokens, **given)


def test_save_and_load_is_bit_equal(family, tmp_path: Path) -> None:
    """A folder gives back the same class, tokens and features, bit by bit."""
    _, make = family
    encoder = make()
    encoder.save_pretrained(tmp_path)
    loaded = TextEncoder.from_pretrained(tmp_path, encoder.config)
    assert type(loaded.model) is type(encoder.model)
    assert not loaded.training
    before, after = encoder(CAPTIONS), loaded(CAPTIONS)
    assert torch.equal(before.mask, after.mask)
    assert torch.equal(before.features, after.features)
    assert loaded.feature_size == before.features.shape[-1] == 16


def test_hidden_layer(family) -> None:
    """-1 is the output after the final norm; -2 and further back are transformers' hidden states of that index."""
    _, make = family
    encoder = make()
    tokens = encoder.tokenize(CAPTIONS)
    outputs = encoder.model(input_ids=tokens.input_ids, attention_mask=tokens.mask.long(), output_hidden_states=True)
    assert torch.equal(encoder.encode(tokens)[0], outputs.last_hidden_state)
    for layer in (-2, -3, -4):
        features, _ = make(hidden_layer=layer).encode(tokens)
        assert torch.equal(features, outputs.hidden_states[layer])
        assert not torch.allclose(features, outputs.last_hidden_state)
    with pytest.raises(ConfigError, match="3 layers"):
        make(hidden_layer=-5)


def test_bos_and_eos(family) -> None:
    """They surround the prompt when asked for and not otherwise; padding follows on the right."""
    name, make = family
    tokenizer = make().tokenizer
    plain = make(add_bos=False, add_eos=False).tokenize([CAPTIONS[1]])
    ids = tokenizer.convert_tokens_to_ids(CAPTIONS[1].split())
    assert plain.input_ids.tolist() == [ids]
    both = make().tokenize([CAPTIONS[1], "two stars"])
    bos = [] if name == "t5" else [tokenizer.bos_token_id]
    assert both.input_ids[0].tolist() == [*bos, *ids, tokenizer.eos_token_id]
    short = [*bos, *ids[:2], tokenizer.eos_token_id]
    assert both.input_ids[1, : len(short)].tolist() == short
    assert both.input_ids[1, len(short) :].tolist() == [tokenizer.pad_token_id or 0] * (len(ids) - 2)
    assert both.mask.sum(1).tolist() == [len(bos) + len(ids) + 1, len(short)]
    assert (both.mask.int().diff(dim=1) <= 0).all()


def test_a_missing_special_token_is_an_error() -> None:
    """T5 has no BOS token, and asking for it says so."""
    model, tokenizer = _t5()
    with pytest.raises(ConfigError, match="no BOS token: set add_bos=False"):
        TextEncoder(model, tokenizer, TextEncodingConfig(max_tokens=8))


def test_long_prompts_are_cut_before_eos_and_counted() -> None:
    """Ten words in a budget of six tokens: BOS, four words, EOS; six words are counted as dropped, none elsewhere."""
    model, tokenizer = _llama()
    encoder = TextEncoder(model, tokenizer, TextEncodingConfig(max_tokens=6))
    tokens = encoder.tokenize([CAPTIONS[0], "two stars"])
    assert tokens.dropped == [6, 0]
    words = tokenizer.convert_tokens_to_ids(CAPTIONS[0].split()[:4])
    assert tokens.input_ids[0].tolist() == [tokenizer.bos_token_id, *words, tokenizer.eos_token_id]
    assert encoder([CAPTIONS[0]]).dropped == [6]


def test_a_prompt_without_tokens_still_has_one(family) -> None:
    """An empty prompt without BOS and EOS still gives one valid token, so that pooled features are numbers."""
    _, make = family
    features = make(add_bos=False, add_eos=False)(["", "two stars"])
    assert features.mask.sum(1).tolist() == [1, 2]
    assert features.features.isfinite().all()


def test_padding_does_not_change_features(family) -> None:
    """A prompt's features are the same alone and beside a longer one, when the padding is masked."""
    _, make = family
    encoder = make()
    alone, beside = encoder(["two stars"]), encoder(["two stars", CAPTIONS[1]])
    length = alone.mask.shape[1]
    torch.testing.assert_close(beside.features[0, :length], alone.features[0], rtol=1e-5, atol=1e-5)


def test_attention_mask_is_a_choice() -> None:
    """Without it T5 reads the padding; with ``attend_padding`` the network is told to as well."""
    torch.manual_seed(0)
    model, tokenizer = _t5()
    model.eval()

    def encode(**settings: object):
        config = TextEncodingConfig(max_tokens=8, add_bos=False, padding="max_tokens", **settings)
        return TextEncoder(model, tokenizer, config)(["two stars"])

    masked, unmasked = encode(), encode(attention_mask=False, attend_padding=True)
    assert not torch.allclose(masked.features[:, :3], unmasked.features[:, :3])
    assert masked.mask.sum().item() == 3
    assert unmasked.mask.sum().item() == 8


def test_lengths() -> None:
    """Padding goes to the longest of the batch, to a multiple of it, or to the maximum."""
    model, tokenizer = _llama()

    def length(**settings: object) -> int:
        config = TextEncodingConfig(max_tokens=12, **settings)
        return TextEncoder(model, tokenizer, config).tokenize(["two stars", "a"]).input_ids.shape[1]

    assert (length(), length(pad_to_multiple_of=8), length(padding="max_tokens")) == (4, 8, 12)


def test_prompt_template() -> None:
    """The template surrounds every prompt, braces in a prompt are left alone."""
    model, tokenizer = _llama()
    templated = TextEncoder(model, tokenizer, TextEncodingConfig(max_tokens=12, prompt_template="a red {prompt} over"))
    plain = TextEncoder(model, tokenizer, TextEncodingConfig(max_tokens=12))
    expected = plain.tokenize(["a red two {prompt} stars over"])
    assert torch.equal(templated.tokenize(["two {prompt} stars"]).input_ids, expected.input_ids)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_tokens": 2}, "at least 3"),
        ({"max_tokens": 8, "hidden_layer": 0}, "negative"),
        ({"max_tokens": 8, "pad_to_multiple_of": 0}, "pad_to_multiple_of"),
        ({"max_tokens": 8, "padding": "left"}, "'left'"),
        ({"max_tokens": 8, "prompt_template": "no place"}, "exactly once"),
        ({"max_tokens": 8, "layers": 3}, "unknown text encoding settings"),
        ({"hidden_layer": -2}, "need max_tokens"),
    ],
)
def test_bad_rules_are_refused(settings: dict[str, object], message: str) -> None:
    """Each bad rule raises an error that names it."""
    with pytest.raises(ConfigError, match=message):
        TextEncodingConfig.from_dict(settings)


def test_rules_survive_json() -> None:
    """What a pipeline writes into model_index.json comes back equal."""
    config = TextEncodingConfig(max_tokens=77, hidden_layer=-2, add_bos=False, prompt_template="draw {prompt}")
    assert TextEncodingConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config


def test_more_tokens_than_positions() -> None:
    """CLIP's table of positions bounds max_tokens, padding included."""
    model, tokenizer = _clip()
    TextEncoder(model, tokenizer, TextEncodingConfig(max_tokens=20))
    with pytest.raises(ConfigError, match="20 positions"):
        TextEncoder(model, tokenizer, TextEncodingConfig(max_tokens=20, pad_to_multiple_of=8))


def test_no_prompt_or_a_bare_string() -> None:
    """An empty list, or a text where a list is expected, is an error instead of a batch of letters."""
    encoder = _small()
    for prompts in ([], "two stars"):
        with pytest.raises(ConfigError, match="at least one prompt"):
            encoder.tokenize(prompts)


def test_gradients_reach_every_parameter() -> None:
    """The small encoder is trained through its features."""
    encoder = _small()
    encoder(CAPTIONS).features.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in encoder.parameters())


def test_small_tokenizer_knows_everything_and_no_case() -> None:
    """Its own words are short, case does not matter, and unheard-of letters survive a round trip as bytes."""
    encoder = _small()
    upper, lower = (encoder.tokenize([text]).input_ids for text in ("A Small RED circle", "a small red circle"))
    assert torch.equal(upper, lower)
    assert upper.shape[1] == 2 + 4
    text = "ein größerer 红色圆 🙂"
    ids = encoder.tokenize([text]).input_ids[0]
    assert encoder.tokenizer.decode(ids, skip_special_tokens=True).strip() == text


def test_small_encoder_is_reproducible_and_leaves_the_global_seed() -> None:
    """The seed decides the weights, and drawing them does not disturb anybody else's random numbers."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = _small()
    assert torch.equal(torch.rand(3), expected)
    weights = [dict(encoder.named_parameters()) for encoder in (first, _small(), _small(seed=1))]
    name = "model.embed_tokens.weight"
    assert torch.equal(weights[0][name], weights[1][name])
    assert not torch.equal(weights[0][name], weights[2][name])


def test_small_encoder_sizes_are_checked() -> None:
    """A vocabulary without room for the bytes, and heads that do not divide the width."""
    with pytest.raises(ConfigError, match="at least 259"):
        _small(vocab_size=100)
    with pytest.raises(ConfigError, match="multiple of 2"):
        _small(hidden_size=18)


def test_padding_of_the_small_encoder_cannot_matter() -> None:
    """It computes without an attention mask; being causal, its features are the same alone and beside a longer one."""
    encoder = _small()
    alone, beside = encoder(["two stars"]), encoder(["two stars", CAPTIONS[0]])
    torch.testing.assert_close(beside.features[0, : alone.mask.shape[1]], alone.features[0], rtol=1e-5, atol=1e-6)


def _damage(folder: Path, how: str) -> None:
    weights = folder / "text_encoder" / "model.safetensors"
    if how == "no folder":
        (folder / "text_encoder").rename(folder / "elsewhere")
    elif how == "no tokenizer":
        (folder / "tokenizer").rename(folder / "elsewhere")
    elif how == "damaged tokenizer":
        (folder / "tokenizer" / "tokenizer.json").write_text("{")
    elif how == "no weights":
        weights.unlink()
    elif how == "pickle":
        weights.unlink()
        torch.save({}, folder / "text_encoder" / "pytorch_model.bin")
    elif how == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "lfs pointer":
        weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    elif how == "missing tensor":
        tensors = load_file(weights)
        tensors.pop("norm.weight")
        save_file(tensors, weights, metadata={"format": "pt"})
    elif how == "other shape":
        tensors = load_file(weights)
        tensors["norm.weight"] = torch.zeros(3)
        save_file(tensors, weights, metadata={"format": "pt"})
    elif how == "not transformers":
        (folder / "text_encoder" / "config.json").write_text("{}")
    elif how == "unknown model":
        (folder / "text_encoder" / "config.json").write_text('{"model_type": "abacus"}')
    else:
        raise AssertionError(how)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no folder", "text_encoder"),
        ("no tokenizer", "expected a tokenizer"),
        ("damaged tokenizer", "cannot read the tokenizer"),
        ("no weights", "found none"),
        ("pickle", "pytorch_model.bin is a pickle"),
        ("truncated", "truncated"),
        ("lfs pointer", "git-lfs pointer"),
        ("missing tensor", "first norm.weight"),
        ("other shape", "norm.weight"),
        ("not transformers", "no model_type"),
        ("unknown model", "cannot read the text encoder"),
    ],
)
def test_damaged_folders_are_one_line(tmp_path: Path, how: str, message: str) -> None:
    """Each way a folder can be wrong is one line of ours that says which, and never a model with random weights."""
    encoder = _small()
    encoder.save_pretrained(tmp_path)
    _damage(tmp_path, how)
    with pytest.raises(CheckpointError, match=message) as raised:
        TextEncoder.from_pretrained(tmp_path, encoder.config)
    assert "\n" not in str(raised.value)
