"""Rotary position angles over the flattened sequence.

Legend: B segments, L tokens, H head width.
"""

import torch
from torch import Tensor


def rotary_cos_sin(
    positions: Tensor,
    segment_lengths: Tensor,
    *,
    head_dim: int,
    theta: float,
    ntk_factor: float | Tensor = 1.0,
    scaling_factor: float | Tensor = 1.0,
) -> tuple[Tensor, Tensor]:
    r"""Cosines and sines of the rotary embedding (RoFormer, arXiv 2104.09864, section 3.2), exact at any length.

    Pair k of a head at position p turns by :math:`(p / s) \cdot (\theta \cdot f)^{-2k / H}`, with the scaling factor
    s (position interpolation) and the NTK factor f (a larger base for longer sequences). Angles are computed in
    float64: in float32 they are off by up to 0.03 rad at position 512 K.

    Args:
        positions: (L,) integer, index of each token in its segment.
        segment_lengths: (B,) integer, tokens of each segment; they sum to L.
        head_dim: H, even.
        theta: Base of the frequencies.
        ntk_factor: Factor on the base, > 0; a (B,) tensor gives each segment its own.
        scaling_factor: Positions are divided by this, > 0; a (B,) tensor gives each segment its own.

    Returns:
        Cosines and sines, each (L, H / 2) float32.
    """
    device = positions.device
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float64, device=device) / head_dim

    def per_segment(value: float | Tensor) -> Tensor:
        return torch.as_tensor(value, dtype=torch.float64, device=device).expand(len(segment_lengths))

    frequencies_BH = (theta * per_segment(ntk_factor))[:, None] ** -exponents / per_segment(scaling_factor)[:, None]
    frequencies_LH = frequencies_BH.repeat_interleave(segment_lengths, dim=0, output_size=len(positions))
    angles_LH = positions.double()[:, None] * frequencies_LH
    return angles_LH.cos().float(), angles_LH.sin().float()
