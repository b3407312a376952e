"""The watch after a release: do error lines come faster than before?"""

from __future__ import annotations

from dataclasses import dataclass

from bot.core.canary.chance import binomial
from bot.core.canary.wording import p_value, stretch


@dataclass(frozen=True, kw_only=True)
class Rise:
    """Whether lines come faster, and the numbers: ``new`` and ``old`` in lines per second, ``p`` as in a comparison."""

    rose: bool
    p: float
    new: float
    old: float
    sentence: str


def rate_rose(
    new_count: int,
    new_seconds: float,
    old_count: int,
    old_seconds: float,
    *,
    level: float = 0.01,
    factor: float = 2.0,
    fewest: int = 5,
) -> Rise:
    """Judge whether error lines come more than ``factor`` times as fast as before, beyond chance.

    Were they only ``factor`` times as fast, each of all the lines would fall in the new stretch with a known
    probability; ``p`` is the chance that so many did (the exact conditional test of two Poisson rates: Przyborowski and
    Wilenski 1940). Fewer than ``fewest`` new lines are no alarm: one line after a week without any is beyond chance as
    well, and no reason to get up. Lines often come in bunches (one failure writes several), so ``factor`` should leave
    room for it. Who looks ``n`` times divides ``level`` by ``n``.

    Raises:
        ValueError: a count is negative, or a stretch is not longer than 0.
    """
    if min(new_count, old_count) < 0 or min(new_seconds, old_seconds) <= 0.0:
        raise ValueError("lines are counted over a stretch of time")
    share = factor * new_seconds / (factor * new_seconds + old_seconds)
    p = binomial(new_count, new_count + old_count, share)
    lines = "error line" if new_count == 1 else "error lines"
    return Rise(
        rose=new_count >= fewest and p <= level,
        p=p,
        new=new_count / new_seconds,
        old=old_count / old_seconds,
        sentence=f"{new_count:,} {lines} in {stretch(new_seconds)} against {old_count:,} in {stretch(old_seconds)} "
        f"({p_value(p)})",
    )
