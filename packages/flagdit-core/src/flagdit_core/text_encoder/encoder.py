"""Prompts to token ids to caption features.

Shape suffixes: B prompts, L tokens, Y width of the features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from flagdit_core.errors import ConfigError
from flagdit_core.text_encoder import folder as model_folder
from flagdit_core.text_encoder.config import TextEncodingConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class TokenBatch:
    """Right-padded token ids.

    Attributes:
        input_ids: (B, L) int64.
        mask: (B, L) bool, True on the tokens of the prompt, BOS and EOS.
        dropped: Tokens of each prompt that went past ``max_tokens``, of length B.
    """

    input_ids: Tensor
    mask: Tensor
    dropped: list[int]

    def to(self, device: torch.device | str) -> "TokenBatch":
        """The same batch on another device."""
        return TokenBatch(input_ids=self.input_ids.to(device), mask=self.mask.to(device), dropped=self.dropped)

    def __getitem__(self, part: slice) -> "TokenBatch":
        """Some of its prompts, as wide as they are."""
        return TokenBatch(input_ids=self.input_ids[part], mask=self.mask[part], dropped=self.dropped[part])


@dataclass(frozen=True, kw_only=True)
class TextFeatures:
    """What the network attends to.

    Attributes:
        features: (B, L, Y) in the encoder's dtype.
        mask: (B, L) bool, True on the tokens to attend to.
        dropped: Tokens of each prompt that went past ``max_tokens``, of length B.
    """

    features: Tensor
    mask: Tensor
    dropped: list[int]


class TextEncoder(nn.Module):
    """A transformers model with its tokenizer, and the rules that make features of a prompt.

    It is differentiable: call it with gradients enabled to train the encoder, under ``torch.no_grad()`` otherwise.

    Args:
        model: A LLaMA- or Gemma-style decoder, a T5 encoder, a CLIP text model, or any other model that takes
            ``input_ids`` and ``attention_mask`` and returns ``last_hidden_state`` and ``hidden_states``.
        tokenizer: Its tokenizer.
        config: The rules.

    Raises:
        ConfigError: The tokenizer lacks a token that the rules ask for, or the model has fewer layers or positions.

    Example:
        >>> from flagdit_core.text_encoder import build_small_text_encoder
        >>> encoder = build_small_text_encoder(["a red circle"], vocab_size=300, hidden_size=32, num_layers=1,
        ...                                    num_heads=2, max_tokens=16, seed=0)
        >>> encoder(["a red circle", ""]).features.shape[-1]
        32
    """

    def __init__(
        self, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", config: TextEncodingConfig
    ) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.config = config
        self._prefix = [_special_token(tokenizer, "bos", "cls")] if config.add_bos else []
        self._suffix = [_special_token(tokenizer, "eos", "sep")] if config.add_eos else []
        _check_fits(model, config)

    @property
    def feature_size(self) -> int:
        """Y, the width of the features."""
        return int(self.model.config.get_text_config().hidden_size)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        parameter: nn.Parameter = next(self.model.parameters())
        return parameter.device

    @property
    def is_trained(self) -> bool:
        """Whether any of its parameters requires a gradient."""
        return any(parameter.requires_grad for parameter in self.model.parameters())

    def tokenize(self, prompts: Sequence[str]) -> TokenBatch:
        """Token ids of the prompts, on the CPU.

        A prompt without any text still gives one valid token, so that its features can be pooled: the BOS or EOS token
        (even where the rules add neither), or, in a tokenizer that has none of them, the padding token.

        Args:
            prompts: At least one text.

        Returns:
            The batch, padded on the right to its longest prompt.

        Raises:
            ConfigError: There is no prompt.
        """
        if isinstance(prompts, str) or not prompts:
            raise ConfigError(f"expected a list with at least one prompt, got {prompts!r}")
        template = self.config.prompt_template
        texts = list(prompts) if template is None else [template.replace("{prompt}", prompt) for prompt in prompts]
        # verbose=False: transformers' own warning on long prompts would say what `dropped` says
        text_ids = self.tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False).input_ids
        room = self.config.max_tokens - len(self._prefix) - len(self._suffix)
        rows = [[*self._prefix, *ids[:room], *self._suffix] or [self._placeholder()] for ids in text_ids]
        longest = max(map(len, rows)) if self.config.padding == "longest" else self.config.max_tokens
        multiple = self.config.pad_to_multiple_of
        length = (longest + multiple - 1) // multiple * multiple
        pad = self.tokenizer.pad_token_id or 0
        return TokenBatch(
            input_ids=torch.tensor([row + [pad] * (length - len(row)) for row in rows]),
            mask=torch.arange(length) < torch.tensor([len(row) for row in rows])[:, None],
            dropped=[max(0, len(ids) - room) for ids in text_ids],
        )

    def encode(self, tokens: TokenBatch) -> tuple[Tensor, Tensor]:
        """Features of the tokens, with gradients where they are enabled.

        Args:
            tokens: A batch from ``tokenize``, on any device.

        Returns:
            Features (B, L, Y) in the encoder's dtype, and the mask (B, L) bool of the tokens to attend to; both on
            the encoder's device.
        """
        tokens = tokens.to(self.device)
        last = self.config.hidden_layer == -1
        outputs = self.model(
            input_ids=tokens.input_ids,
            attention_mask=tokens.mask.long() if self.config.attention_mask else None,
            output_hidden_states=not last,
        )
        features = outputs.last_hidden_state if last else outputs.hidden_states[self.config.hidden_layer]
        return features, torch.ones_like(tokens.mask) if self.config.attend_padding else tokens.mask

    def forward(self, prompts: Sequence[str]) -> TextFeatures:
        """Features of the prompts: ``encode(tokenize(prompts))``.

        Args:
            prompts: At least one text.

        Returns:
            Features, mask and the number of dropped tokens of each prompt.

        Raises:
            ConfigError: There is no prompt.
        """
        tokens = self.tokenize(prompts)
        features, mask = self.encode(tokens)
        return TextFeatures(features=features, mask=mask, dropped=tokens.dropped)

    @classmethod
    def from_pretrained(
        cls, folder: Path | str, config: TextEncodingConfig, *, dtype: torch.dtype | None = None
    ) -> Self:
        """The encoder of a folder with ``text_encoder/`` and ``tokenizer/`` in it, in evaluation mode.

        Args:
            folder: A local model folder with safetensors weights.
            config: The rules, which the folder's owner keeps (a pipeline keeps them in model_index.json).
            dtype: Of the parameters; the folder's own by default.

        Returns:
            The encoder, on the CPU.

        Raises:
            CheckpointError: Something is missing, damaged, incomplete or only there as a pickle.
            ConfigError: The rules do not fit the model or the tokenizer.
        """
        model, tokenizer = model_folder.load(Path(folder), dtype=dtype)
        return cls(model, tokenizer, config).eval()

    def save_pretrained(self, folder: Path | str) -> None:
        """Write ``text_encoder/`` (safetensors) and ``tokenizer/`` into a folder.

        Args:
            folder: Made if needed.
        """
        model_folder.save(self.model, self.tokenizer, Path(folder))

    def _placeholder(self) -> int:
        """The token that stands for a prompt without any."""
        tokenizer = self.tokenizer
        for token in (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id):
            if token is not None:
                return int(token)
        return 0


def _special_token(tokenizer: "PreTrainedTokenizerBase", name: str, other: str) -> int:
    for candidate in (name, other):
        token = getattr(tokenizer, f"{candidate}_token_id")
        if token is not None:
            return int(token)
    raise ConfigError(f"the tokenizer has no {name.upper()} token: set add_{name}=False")


def _check_fits(model: "PreTrainedModel", config: TextEncodingConfig) -> None:
    text_config = model.config.get_text_config()
    num_layers = int(text_config.num_hidden_layers)
    if -config.hidden_layer > num_layers + 1:
        raise ConfigError(f"hidden_layer {config.hidden_layer} asks for more than the model's {num_layers} layers")
    positions = getattr(text_config, "max_position_embeddings", None)  # T5 has no limit
    longest = -(-config.max_tokens // config.pad_to_multiple_of) * config.pad_to_multiple_of
    if positions is not None and longest > positions:
        raise ConfigError(f"max_tokens (padded) is {longest}, but the model has {positions} positions: lower it")
