"""Flag-DiT in a plain PyTorch loop: waves of two classes, told apart by a label. No pipeline, no recipe, no text."""

import torch
from torch import Tensor

from flagdit_core import FlagDiT, FlagDiTConfig
from flagdit_core.flow import TimestepDistribution, flow_matching_loss, linear_times, midpoint, sample_timesteps

LENGTH, BATCH, STEPS = 16, 32, 300
SLOW, FAST = 0, 1


def waves(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Sequences (B, 1, L) with one period for label 0 and three for label 1, at random phases."""
    phase = torch.rand(len(labels), 1, 1, generator=generator)
    periods = (1 + 2 * labels)[:, None, None]
    return torch.sin(2 * torch.pi * (periods * torch.arange(LENGTH) / LENGTH + phase))


def main() -> None:
    """Train, sample both classes, and print which frequency is strongest in the samples."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    config = FlagDiTConfig(
        in_channels=1, patch_size=1, hidden_size=64, depth=3, num_heads=4, num_kv_heads=4, ffn_hidden_size=128,
        conditioning_size=64, num_classes=2, next_line=False, next_frame="never",
    )  # fmt: skip
    model = FlagDiT(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(STEPS):
        labels = torch.randint(2, (BATCH,), generator=generator)
        data = waves(labels, generator)
        noise = torch.randn(data.shape, generator=generator)
        times = sample_timesteps(TimestepDistribution(kind="logit-normal"), BATCH, generator=generator)
        loss = flow_matching_loss(lambda x, t, labels=labels: model(x, t, labels=labels), data, noise, times).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    labels = torch.tensor([SLOW, SLOW, FAST, FAST])
    with torch.no_grad():
        start = torch.randn(4, 1, LENGTH, generator=generator)
        samples = midpoint(lambda x, t: model(x, t, labels=labels), start, linear_times(16))
    strongest = torch.fft.rfft(samples[:, 0]).abs().argmax(1)
    print(f"loss {loss:.3f}, periods asked for {(1 + 2 * labels).tolist()}, found {strongest.tolist()}")  # noqa: T201 - an example prints


if __name__ == "__main__":
    main()
