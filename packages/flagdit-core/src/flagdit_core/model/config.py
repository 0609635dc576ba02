"""The configuration of Flag-DiT and its presets."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

from flagdit_core.errors import ConfigError

NextFrame = Literal["never", "films", "always"]
CaptionPooling = Literal["mean", "last"]


def feed_forward_size(hidden_size: int, *, multiple_of: int = 256, multiplier: float | None = None) -> int:
    """Width of the SwiGLU layer, by LLaMA's rule: two thirds of ``4 * hidden_size``, rounded up.

    Args:
        hidden_size: Model width.
        multiple_of: The result is the next multiple of this.
        multiplier: Applied before rounding.

    Returns:
        The width; 8192 for a hidden size of 3072.
    """
    size = int(2 * (4 * hidden_size) / 3)
    if multiplier is not None:
        size = int(multiplier * size)
    return multiple_of * -(-size // multiple_of)


@dataclass(frozen=True, kw_only=True)
class FlagDiTConfig:
    """Everything that determines the network (Lumina-T2X, arXiv 2405.05945, section 2.1).

    The text-conditional, label-conditional and audio forms are settings of this one class.

    Attributes:
        in_channels: Channels of a latent.
        patch_size: Side of a square patch, in latent cells; 1 makes every cell a token.
        hidden_size: Width of a token.
        depth: Number of blocks.
        num_heads: Query heads; ``hidden_size`` must be an even multiple of it.
        num_kv_heads: Key and value heads, a divisor of ``num_heads`` (grouped-query attention).
        ffn_hidden_size: Width inside the SwiGLU layer.
        conditioning_size: Width of the vector that modulates every block.
        caption_size: Width of the text encoder's features, or None without text.
        num_classes: Number of labels, or None without labels; index ``num_classes`` is the null label.
        caption_pooling: How caption features join the conditioning vector: the mean over valid tokens, or the
            last valid one (the end-of-text state of a causal encoder).
        next_line: Close each row of patches with the learnt ``[nextline]`` token.
        next_frame: Close each frame with the learnt ``[nextframe]`` token: never, when there are several frames,
            or always (a single picture is closed too).
        qk_norm: LayerNorm over the full width of queries and keys before the head split.
        learn_sigma: The last layer also predicts a variance, which the velocity leaves out.
        norm_eps: Epsilon of the RMSNorms.
        rope_theta: Base of the rotary frequencies.
        rope_scaling_factor: Positions are divided by this.
        rope_row_stride: Positions from one row of patches to the next, at every width that has no more tokens in a row,
            so that the patch below is always equally far. With 0 it is the tokens of the row, as published.
        discrete_timesteps: If set, a floating-point time t is given to the network as ``trunc(t * this)``.

    Raises:
        ConfigError: A value is out of range, or values contradict one another.

    Example:
        >>> FlagDiTConfig.preset("5b").head_dim
        96
    """

    in_channels: int = 4
    patch_size: int = 2
    hidden_size: int
    depth: int
    num_heads: int
    num_kv_heads: int
    ffn_hidden_size: int
    conditioning_size: int
    caption_size: int | None = None
    num_classes: int | None = None
    caption_pooling: CaptionPooling = "mean"
    next_line: bool = True
    next_frame: NextFrame = "films"
    qk_norm: bool = True
    learn_sigma: bool = False
    norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    rope_scaling_factor: float = 1.0
    rope_row_stride: int = 0
    discrete_timesteps: int | None = None

    def __post_init__(self) -> None:
        for name in ("in_channels", "patch_size", "hidden_size", "depth", "num_heads", "num_kv_heads",
                     "ffn_hidden_size", "conditioning_size"):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} must be a positive integer, got {value!r}")
        if self.hidden_size % (2 * self.num_heads):
            raise ConfigError(
                f"hidden_size must be an even multiple of num_heads, got {self.hidden_size} and {self.num_heads}"
            )
        if self.num_heads % self.num_kv_heads:
            raise ConfigError(f"num_kv_heads must divide num_heads, got {self.num_kv_heads} and {self.num_heads}")
        if (self.caption_size is None) == (self.num_classes is None):
            raise ConfigError(
                "exactly one of caption_size and num_classes must be set, got "
                f"caption_size={self.caption_size} and num_classes={self.num_classes}"
            )
        if self.caption_pooling not in ("mean", "last"):
            raise ConfigError(f"caption_pooling must be 'mean' or 'last', got {self.caption_pooling!r}")
        if self.next_frame not in ("never", "films", "always"):
            raise ConfigError(f"next_frame must be 'never', 'films' or 'always', got {self.next_frame!r}")
        for name in ("norm_eps", "rope_theta", "rope_scaling_factor"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be positive, got {getattr(self, name)!r}")
        if not isinstance(self.rope_row_stride, int) or self.rope_row_stride < 0:
            raise ConfigError(f"rope_row_stride must be an integer of at least 0, got {self.rope_row_stride!r}")

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_heads

    @property
    def patch_channels(self) -> int:
        """Values in one patch of a latent."""
        return self.in_channels * self.patch_size**2

    @property
    def out_channels(self) -> int:
        """Values that the last layer writes for one patch."""
        return self.patch_channels * (2 if self.learn_sigma else 1)

    @classmethod
    def preset(cls, name: str) -> Self:
        """The configuration of that name.

        Args:
            name: One of ``nano``, ``600m``, ``3b``, ``5b``, ``7b``.

        Returns:
            The text-conditional configuration of that size.

        Raises:
            ConfigError: There is no such preset.
        """
        if name not in PRESETS:
            raise ConfigError(f"no preset {name!r}; the presets are {', '.join(PRESETS)}")
        return cls(**PRESETS[name])

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The configuration stored in a mapping such as ``config.json``; keys starting with ``_`` are metadata.

        Args:
            values: Field names and values.

        Returns:
            The configuration.

        Raises:
            ConfigError: A field is unknown or missing.
        """
        given = {key: value for key, value in values.items() if not key.startswith("_")}
        known = {field.name for field in fields(cls)}
        if unknown := sorted(given.keys() - known):
            raise ConfigError(f"unknown Flag-DiT settings {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        try:
            return cls(**given)
        except TypeError as error:
            raise ConfigError(f"incomplete Flag-DiT configuration: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """All settings as a JSON-ready mapping."""
        return asdict(self)


def _published(hidden_size: int, depth: int) -> dict[str, Any]:
    """Settings that the published sizes share; 32 heads and patches of 2."""
    return {
        "hidden_size": hidden_size,
        "depth": depth,
        "num_heads": 32,
        "num_kv_heads": 32,
        "ffn_hidden_size": feed_forward_size(hidden_size),
        "conditioning_size": min(hidden_size, 1024),
        "caption_size": 4096,
    }


PRESETS: dict[str, dict[str, Any]] = {
    "nano": {
        "in_channels": 8,
        "hidden_size": 160,
        "depth": 8,
        "num_heads": 5,
        "num_kv_heads": 5,
        "ffn_hidden_size": 448,
        "conditioning_size": 160,
        "caption_size": 128,
        "caption_pooling": "last",
        "next_frame": "always",
        "rope_theta": 500.0,
    },
    "600m": _published(1536, 16),
    "3b": _published(3072, 32) | {"num_kv_heads": 8},
    "5b": _published(3072, 32),
    "7b": _published(4096, 32),
}
