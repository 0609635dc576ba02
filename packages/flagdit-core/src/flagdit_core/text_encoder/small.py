"""A small text encoder with a vocabulary of its own, to be trained together with the network."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

from flagdit_core.errors import ConfigError
from flagdit_core.text_encoder.config import TextEncodingConfig
from flagdit_core.text_encoder.encoder import TextEncoder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>")
_NUM_BYTES = 256


def build_small_text_encoder(
    captions: Iterable[str],
    *,
    vocab_size: int,
    hidden_size: int,
    num_layers: int,
    num_heads: int,
    max_tokens: int,
    seed: int,
) -> TextEncoder:
    """An untrained LLaMA-style encoder whose lower-casing BPE tokenizer is learned from the captions.

    The tokenizer works on bytes, so that no text is unknown to it.

    Args:
        captions: Texts to learn the vocabulary from.
        vocab_size: Most tokens of the vocabulary, at least 259 (the bytes, padding, BOS and EOS); fewer are used if
            the captions hold fewer different words.
        hidden_size: Width Y of the features, a multiple of ``2 * num_heads``.
        num_layers: Decoder blocks.
        num_heads: Attention heads.
        max_tokens: Most tokens of a prompt.
        seed: Of the initial weights.

    Returns:
        The encoder, in training mode, float32 on the CPU. The global random state is left as it was.

    Raises:
        ConfigError: A size does not fit.

    Example:
        >>> encoder = build_small_text_encoder(["a red circle"], vocab_size=300, hidden_size=32, num_layers=1,
        ...                                    num_heads=2, max_tokens=16, seed=0)
        >>> encoder.tokenizer.decode(encoder.tokenize(["A RED circle"]).input_ids[0], skip_special_tokens=True)
        ' a red circle'
    """
    from transformers import LlamaConfig, LlamaModel

    if hidden_size % (2 * num_heads):
        raise ConfigError(f"hidden_size must be a multiple of 2 * num_heads = {2 * num_heads}, got {hidden_size}")
    tokenizer = _train_tokenizer(captions, vocab_size)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=32 * -(-hidden_size * 8 // (3 * 32)),  # 8/3 of the width, in multiples of 32
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        max_position_embeddings=max_tokens,
        use_cache=False,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaModel(config)
    # Causal with the padding on the right: no token sees the padding, and no mask keeps attention on its fast path.
    return TextEncoder(model, tokenizer, TextEncodingConfig(max_tokens=max_tokens, attention_mask=False))


def _train_tokenizer(captions: Iterable[str], vocab_size: int) -> "PreTrainedTokenizerFast":
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    smallest = _NUM_BYTES + len(_SPECIAL_TOKENS)
    if vocab_size < smallest:
        raise ConfigError(
            f"vocab_size must hold the bytes and {_SPECIAL_TOKENS}: at least {smallest}, got {vocab_size}"
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(_SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    pad, bos, eos = _SPECIAL_TOKENS
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=pad, bos_token=bos, eos_token=eos)
