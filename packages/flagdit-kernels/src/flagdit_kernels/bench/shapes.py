"""The sizes that operators and blocks are measured at."""

from flagdit_kernels.bench.operators import Shape

# A guided step of four pictures of 128x128 by the shipped network; of one of 256x256 at the width of the 600m preset.
CPU_SHAPES = (
    Shape(name="nano 8x73", lengths=(73,) * 8, heads=5, head_dim=32, ffn=448, text=24),
    Shape(name="600m 2x272", lengths=(272,) * 2, heads=32, head_dim=48, ffn=4096, text=64),
)

# Widths of the 5b, 7b and 600m presets, by head width.
_FFN = {96: 8192, 128: 11008, 48: 4096}

# One long sequence, and pictures of 256x256 to 2048x2048 side by side, with the tokens that close their rows.
_LENGTHS = {
    "16K": (2**14,),
    "4K": (2**12,),
    "packed": (272,) * 16 + (1056,) * 8 + (4160,) * 4 + (16512,),
    "64K": (2**16,),
    "128K": (2**17,),
}


def gpu_shapes(*, quick: bool) -> tuple[tuple[Shape, ...], ...]:
    """The shapes of each width; the most telling first, in case time runs out.

    Args:
        quick: Tiny sizes of the same form, unequal segments included.

    Returns:
        All lengths, for each width; a name is the width, the head width and the tokens, as in "3072/96 16K".
    """
    if quick:
        lengths: dict[str, tuple[int, ...]] = {"33": (33,), "packed": (7, 1, 12)}
        return tuple(_shapes(head_dim, lengths, heads=2, ffn=80, text=5) for head_dim in (48, 96))
    return tuple(_shapes(head_dim, _LENGTHS, heads=32, ffn=ffn, text=256) for head_dim, ffn in _FFN.items())


def _shapes(
    head_dim: int, lengths: dict[str, tuple[int, ...]], *, heads: int, ffn: int, text: int
) -> tuple[Shape, ...]:
    return tuple(
        Shape(
            name=f"{heads * head_dim}/{head_dim} {name}",
            lengths=each,
            heads=heads,
            head_dim=head_dim,
            ffn=ffn,
            text=text,
        )
        for name, each in lengths.items()
    )
