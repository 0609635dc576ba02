"""Latents of any mix of shapes to one packed sequence of patches, and back, losslessly.

A latent (C, T, H, W) becomes the rows of its frames, top to bottom; a ``[nextline]`` token closes each row and a
``[nextframe]`` token each frame (Lumina-T2X, arXiv 2405.05945, section 2.1). Several latents follow one another in
one sequence, without padding; ``cu_seqlens`` says where each begins.

Legend: B latents, C channels, T frames, H rows, W columns, L tokens in all, N tokens of one latent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from flagdit_core.errors import ShapeError
from flagdit_core.model.config import FlagDiTConfig, NextFrame

Latents = Tensor | list[Tensor]
PATCH, NEXT_LINE, NEXT_FRAME = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a latent is spelled as a sequence.

    Attributes:
        patch_size: Side of a patch in latent cells.
        next_line: Whether a token closes each row.
        next_frame: When a token closes each frame: never, for several frames, or always.
        row_stride: Positions from one row to the next, at every width that has no more tokens in a row.
    """

    patch_size: int = 2
    next_line: bool = True
    next_frame: NextFrame = "films"
    row_stride: int = 0

    @classmethod
    def of(cls, config: FlagDiTConfig) -> "Layout":
        """The layout that a network of this configuration reads."""
        return cls(
            patch_size=config.patch_size,
            next_line=config.next_line,
            next_frame=config.next_frame,
            row_stride=config.rope_row_stride,
        )

    def closes_frames(self, num_frames: int) -> bool:
        """Whether frames of such a latent end in ``[nextframe]``."""
        return self.next_frame == "always" or (self.next_frame == "films" and num_frames > 1)

    def sequence_length(self, shape: Sequence[int]) -> int:
        """Tokens of one latent.

        Args:
            shape: (C, T, H, W) of the latent; H and W divisible by the patch size.

        Returns:
            The number of tokens, closing tokens included.

        Raises:
            ShapeError: H or W is not divisible by the patch size.
        """
        _, frames, rows, columns = _checked(shape, self)
        per_frame = rows * (columns + self.next_line) + self.closes_frames(frames)
        return frames * per_frame

    def row_step(self, shape: Sequence[int]) -> int:
        """Positions from a patch of one latent to the patch below it.

        Args:
            shape: (C, T, H, W) of the latent.

        Returns:
            ``row_stride``, or the tokens of a row if they are more.

        Raises:
            ShapeError: As :meth:`sequence_length`.
        """
        *_, columns = _checked(shape, self)
        return max(self.row_stride, columns + self.next_line)


@dataclass(frozen=True, kw_only=True)
class Packed:
    """One sequence that holds several latents.

    Attributes:
        tokens: (L, C * patch_size ** 2), the dtype of the latents; zero where a closing token stands.
        kinds: (L,) uint8: 0 a patch, 1 ``[nextline]``, 2 ``[nextframe]``.
        positions: (L,) int64, where the token stands for RoPE: its index within its latent, closing tokens counted, as
            if all rows had ``row_stride`` tokens.
        cu_seqlens: (B + 1,) int32, where each latent begins, and the end.
        max_seqlen: Tokens of the longest latent.
        shapes: (C, T, H, W) of each latent.
    """

    tokens: Tensor
    kinds: Tensor
    positions: Tensor
    cu_seqlens: Tensor
    max_seqlen: int
    shapes: tuple[tuple[int, int, int, int], ...]


def pack(latents: Latents, layout: Layout = Layout()) -> Packed:
    """One packed sequence from a batch of latents, or from a list of unequal ones.

    Args:
        latents: (B, C, H, W), (B, C, T, H, W) or (B, C, L), or a list of such items without B.
        layout: How a latent is spelled.

    Returns:
        The sequence; :func:`unpack` is its exact inverse.

    Raises:
        ShapeError: A latent has another rank, or a side is not divisible by the patch size, or there is none.

    Example:
        >>> packed = pack(torch.zeros(2, 4, 8, 8))
        >>> packed.tokens.shape, packed.max_seqlen
        (torch.Size([40, 16]), 20)
    """
    batches = [_as_film(latents, batched=True)] if isinstance(latents, Tensor) else _batches(latents)
    rows = [_patches(batch_BCTHW, layout) for batch_BCTHW in batches]
    shapes = tuple((b.shape[1], b.shape[2], b.shape[3], b.shape[4]) for b in batches for _ in range(len(b)))
    device = batches[0].device
    kinds = {shape: _kinds(shape, layout, device) for shape in dict.fromkeys(shapes)}
    positions = {shape: _positions(shape, layout, device) for shape in kinds}
    lengths = [len(kinds[shape]) for shape in shapes]
    return Packed(
        tokens=rows[0] if len(rows) == 1 else torch.cat(rows),
        kinds=torch.cat([kinds[shape] for shape in shapes]),
        positions=torch.cat([positions[shape] for shape in shapes]),
        cu_seqlens=torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device),
        max_seqlen=max(lengths),
        shapes=shapes,
    )


def unpack(tokens: Tensor, shapes: Sequence[tuple[int, int, int, int]], layout: Layout = Layout()) -> list[Tensor]:
    """The latents of a packed sequence.

    Args:
        tokens: (L, C * patch_size ** 2), in the order of :func:`pack`; closing tokens are left out.
        shapes: (C, T, H, W) of each latent.
        layout: How the latents were spelled.

    Returns:
        One (C, T, H, W) tensor for each shape.

    Raises:
        ShapeError: The number of tokens does not fit the shapes.
    """
    lengths = [layout.sequence_length(shape) for shape in shapes]
    if sum(lengths) != len(tokens):
        raise ShapeError(f"expected {sum(lengths)} tokens for {len(shapes)} latents, got {len(tokens)}")
    if len(set(shapes)) == 1:
        return list(_unpatch(tokens.unflatten(0, (len(shapes), -1)), shapes[0], layout))
    pieces = tokens.split(lengths)
    return [_unpatch(piece[None], shape, layout)[0] for piece, shape in zip(pieces, shapes, strict=True)]


def like(films: list[Tensor], latents: Latents) -> Latents:
    """Latents (C, T, H, W) in the type and rank that ``latents`` had."""
    if isinstance(latents, Tensor):
        return torch.stack(films).reshape(len(latents), -1, *latents.shape[2:])
    return [film.reshape(-1, *item.shape[1:]) for film, item in zip(films, latents, strict=True)]


def _as_film(latent: Tensor, *, batched: bool) -> Tensor:
    """A latent of any accepted rank as (B, C, T, H, W)."""
    item = latent if batched else latent[None]
    match item.ndim:
        case 5:
            return item
        case 4:
            return item[:, :, None]
        case 3:
            return item[:, :, None, None]
        case _:
            expected = "(B, C, L), (B, C, H, W) or (B, C, T, H, W)" if batched else "(C, L), (C, H, W) or (C, T, H, W)"
            raise ShapeError(f"expected a latent {expected}, got shape {tuple(latent.shape)}")


def _batches(latents: list[Tensor]) -> list[Tensor]:
    """A list of latents as one batch if their shapes agree, otherwise as batches of one."""
    if not latents:
        raise ShapeError("expected at least one latent, got an empty list")
    films = [_as_film(latent, batched=False) for latent in latents]
    return [torch.cat(films)] if len({film.shape for film in films}) == 1 else films


def _checked(shape: Sequence[int], layout: Layout) -> tuple[int, int, int, int]:
    """(C, T, rows of patches, columns of patches)."""
    channels, frames, height, width = shape
    patch = layout.patch_size
    if height % patch or width % patch or 0 in shape:
        raise ShapeError(f"expected latent sides divisible by the patch size {patch} and not empty, got {tuple(shape)}")
    if frames > 1 and layout.next_frame == "never":
        raise ShapeError(f"this layout has no [nextframe] token: expected one frame, got {frames}")
    return channels, frames, height // patch, width // patch


def _patches(latents_BCTHW: Tensor, layout: Layout) -> Tensor:
    """The tokens of latents of one shape, zero where closing tokens stand: (B * N, C * p * p)."""
    _, frames, _, _ = _checked(latents_BCTHW.shape[1:], layout)
    p = layout.patch_size
    tokens = rearrange(latents_BCTHW, "b c t (h p) (w q) -> b t h w (c p q)", p=p, q=p)
    if layout.next_line:
        tokens = F.pad(tokens, (0, 0, 0, 1))
    tokens = rearrange(tokens, "b t h w d -> b t (h w) d")
    if layout.closes_frames(frames):
        tokens = F.pad(tokens, (0, 0, 0, 1))
    return rearrange(tokens, "b t n d -> (b t n) d")


def _kinds(shape: Sequence[int], layout: Layout, device: torch.device) -> Tensor:
    """What each token of such a latent is: (N,) uint8."""
    _, frames, rows, columns = _checked(shape, layout)
    kinds = torch.full((frames, rows, columns), PATCH, dtype=torch.uint8, device=device)
    if layout.next_line:
        kinds = F.pad(kinds, (0, 1), value=NEXT_LINE)
    kinds = kinds.flatten(1)
    if layout.closes_frames(frames):
        kinds = F.pad(kinds, (0, 1), value=NEXT_FRAME)
    return kinds.flatten()


def _positions(shape: Sequence[int], layout: Layout, device: torch.device) -> Tensor:
    """Where each token of such a latent stands: (N,) int64."""
    _, frames, rows, columns = _checked(shape, layout)
    step, closing = layout.row_step(shape), layout.closes_frames(frames)
    in_row = torch.arange(columns + layout.next_line, device=device)
    in_frame = (step * torch.arange(rows, device=device)[:, None] + in_row).flatten()
    if closing:
        in_frame = F.pad(in_frame, (0, 1), value=rows * step)
    return ((rows * step + closing) * torch.arange(frames, device=device)[:, None] + in_frame).flatten()


def _unpatch(tokens_BNd: Tensor, shape: tuple[int, int, int, int], layout: Layout) -> Tensor:
    """Latents (B, C, T, H, W) of one shape from their tokens."""
    _, frames, rows, columns = _checked(shape, layout)
    p = layout.patch_size
    tokens = rearrange(tokens_BNd, "b (t n) d -> b t n d", t=frames)
    tokens = tokens[:, :, : rows * (columns + layout.next_line)]
    tokens = rearrange(tokens, "b t (h w) d -> b t h w d", h=rows)[..., :columns, :]
    return rearrange(tokens, "b t h w (c p q) -> b c t (h p) (w q)", p=p, q=p)
