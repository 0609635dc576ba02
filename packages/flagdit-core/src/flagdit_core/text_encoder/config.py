"""How a prompt becomes tokens, and which of the encoder's layers becomes the caption features."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

from flagdit_core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class TextEncodingConfig:
    """Rules of one text encoder, stored beside its weights.

    Attributes:
        max_tokens: Most tokens of a prompt, BOS and EOS included; the rest is dropped and counted.
        hidden_layer: -1 is the last hidden state after the final norm; -2, -3, ... are the states before the last,
            the second last, ... block's output, counted as in transformers' ``hidden_states``.
        add_bos: Put the tokenizer's BOS token (or CLS, where it has no BOS) before every prompt.
        add_eos: Put the tokenizer's EOS token (or SEP) after every prompt.
        null_prompt: The prompt of the unconditional branch and of dropped captions.
        attention_mask: Hide the padding from the encoder. Without it a bidirectional encoder reads the padding too;
            a causal one cannot, since the padding is on the right.
        attend_padding: Mark the padding as valid in the returned mask, for models that were trained on all tokens.
        prompt_template: Text around every prompt, the null prompt included, with one ``{prompt}`` in it.
        padding: "longest" of the batch, or always to "max_tokens".
        pad_to_multiple_of: Round the padded length up to a multiple of this.

    Raises:
        ConfigError: A value is out of its range.

    Example:
        >>> TextEncodingConfig(max_tokens=128, hidden_layer=-2).add_bos
        True
    """

    max_tokens: int
    hidden_layer: int = -1
    add_bos: bool = True
    add_eos: bool = True
    null_prompt: str = ""
    attention_mask: bool = True
    attend_padding: bool = False
    prompt_template: str | None = None
    padding: Literal["longest", "max_tokens"] = "longest"
    pad_to_multiple_of: int = 1

    def __post_init__(self) -> None:
        if self.max_tokens <= self.add_bos + self.add_eos:
            raise ConfigError(
                f"max_tokens must leave room for text beside BOS and EOS, got {self.max_tokens}: "
                f"give at least {1 + self.add_bos + self.add_eos}"
            )
        if self.hidden_layer >= 0:
            raise ConfigError(
                f"hidden_layer counts from the end and must be negative, got {self.hidden_layer}: -1 is the last"
            )
        if self.pad_to_multiple_of < 1:
            raise ConfigError(f"pad_to_multiple_of must be at least 1, got {self.pad_to_multiple_of}")
        if self.padding not in ("longest", "max_tokens"):
            raise ConfigError(f"padding must be 'longest' or 'max_tokens', got {self.padding!r}")
        if self.prompt_template is not None and self.prompt_template.count("{prompt}") != 1:
            raise ConfigError(f"prompt_template must contain {{prompt}} exactly once, got {self.prompt_template!r}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The config written by ``as_dict``.

        Args:
            values: Field names and values, as in the ``text_encoding`` entry of model_index.json.

        Returns:
            The validated config.

        Raises:
            ConfigError: A name is unknown, or a value is out of its range.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(f"unknown text encoding settings {unknown}: known are {sorted(known)}")
        if "max_tokens" not in values:
            raise ConfigError("text encoding settings need max_tokens")
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """Field names and values, ready for JSON."""
        return asdict(self)
