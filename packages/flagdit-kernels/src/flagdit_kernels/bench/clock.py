"""The clocks: events of the GPU, or the processor's; and the memory that a call needs.

On a GPU each call is timed with a cold L2 cache: between two calls a buffer larger than any such cache is filled. The
fills come before the first event, as many as it takes the host to enqueue the call, so that what lies between the
events is the device's time and no waiting for the host. What the host takes is measured by itself.
"""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

FLUSHED_BYTES = 2**28
MAX_FILLS = 50
MIN_ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How often to call.

    Attributes:
        rounds: Timed calls, where they fit into ``seconds``; at least 3, if so many are asked for.
        warmup_rounds: Calls before them, likewise.
        seconds: What one measurement may take, roughly.
    """

    rounds: int = 25
    warmup_rounds: int = 5
    seconds: float = 2.0

    def counts(self, seconds_of_a_call: float) -> tuple[int, int]:
        """Rounds and warm-up rounds for calls that take so long."""
        affordable = int(self.seconds / max(seconds_of_a_call, 1e-9))
        rounds = min(self.rounds, max(MIN_ROUNDS, affordable))
        return rounds, min(self.warmup_rounds, affordable // 4)


ONCE = Plan(rounds=1, warmup_rounds=0)
QUICK = Plan(rounds=2, warmup_rounds=0)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds of a call.

    Attributes:
        rounds: Timed calls.
        warmup_rounds: Calls before them.
        median: Of the timed calls.
        iqr: Their interquartile range.
        fastest: The shortest.
        host: What the host takes to enqueue a call, where that is another matter than the call's time.
        peak_memory: Bytes that were allocated at most while a call ran, its inputs included, where somebody counts.
    """

    rounds: int
    warmup_rounds: int
    median: float
    iqr: float
    fastest: float
    host: float | None
    peak_memory: int | None


def time_call(call: Callable[[], object], device: torch.device, plan: Plan) -> Timing:
    """Seconds of a call that has been made at least once before, and its memory.

    Args:
        call: What is timed.
        device: Where it computes; decides the clock.
        plan: How often.

    Returns:
        Median and spread.
    """
    _forget_peak(device)
    if plan == ONCE:
        host, peak, (rounds, warmup_rounds) = None, None, (1, 0)
    else:
        first, host = _first_call(call, device)
        peak, (rounds, warmup_rounds) = _peak(device), plan.counts(first)
    for _ in range(warmup_rounds):
        call()
    if device.type == "cuda":
        seconds = _by_events(call, device, rounds, host)
    else:
        host, seconds = None, _by_host(call, rounds)
    quartiles = statistics.quantiles(seconds, n=4, method="inclusive") if rounds > 1 else seconds * 3
    return Timing(
        rounds=rounds,
        warmup_rounds=warmup_rounds,
        median=quartiles[1],
        iqr=quartiles[2] - quartiles[0],
        fastest=min(seconds),
        host=host,
        peak_memory=peak or _peak(device),
    )


def synchronize(device: torch.device) -> None:
    """Wait for the device; an error of its kernels comes up here."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device) -> int | None:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def _first_call(call: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds of a call, and the part of them after which the host was free again."""
    synchronize(device)
    begin = time.perf_counter()
    call()
    enqueued = time.perf_counter()
    synchronize(device)
    return time.perf_counter() - begin, enqueued - begin


def _by_host(call: Callable[[], object], rounds: int) -> list[float]:
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return seconds


def _by_events(call: Callable[[], object], device: torch.device, rounds: int, host: float | None) -> list[float]:
    """Seconds between an event before and one after each call, waited for only at the end; a single call is long."""
    with torch.cuda.device(device):
        flush = None if host is None else _flush(device, host)
        pairs = [(_event(), _event()) for _ in range(rounds)]
        for before, after in pairs:
            if flush is not None:
                flush()
            before.record()
            call()
            after.record()
        torch.cuda.synchronize(device)
        return [before.elapsed_time(after) / 1e3 for before, after in pairs]


def _flush(device: torch.device, host: float) -> Callable[[], None]:
    """What empties the L2 cache, and keeps the device busy for as long as the host takes to enqueue a call."""
    buffer, before, after = torch.empty(FLUSHED_BYTES, dtype=torch.uint8, device=device), _event(), _event()
    buffer.zero_()
    before.record()
    buffer.zero_()
    after.record()
    torch.cuda.synchronize(device)
    fills = 1 + min(MAX_FILLS, math.ceil(1.5 * host / (before.elapsed_time(after) / 1e3)))

    def flush() -> None:
        for _ in range(fills):
            buffer.zero_()

    return flush


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)
