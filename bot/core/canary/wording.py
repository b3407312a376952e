"""Numbers of a judgement in a person's words."""

from __future__ import annotations

import math

from bot.core.canary.values import Comparison, Metric

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0


def sentence(metric: Metric, numbers: Comparison) -> str:
    """Return what was compared, in a few words: ``errors 3.1 % against 0.4 % (p = 0.002)``."""
    if metric == "errors":
        return f"errors {percent(numbers.candidate)} against {percent(numbers.baseline)} ({p_value(numbers.p)})"
    if not numbers.telling:
        return "too few answers to compare the latency"
    pairs = f"slower in {100.0 * (0.5 + numbers.worse):.0f} of 100 pairs"
    here, there = seconds(numbers.candidate), seconds(numbers.baseline)
    medians = f"{here} for both" if here == there else f"{here} against {there}"
    return f"latency {medians}, {pairs} ({p_value(numbers.p)})"


def percent(share: float) -> str:
    """Return a share in percent, in two digits: ``3.1 %``, ``0.04 %``, ``100 %``."""
    number = 100.0 * share
    if 0.0 < number < 0.01:
        return "under 0.01 %"
    return f"{number:.0f} %" if number >= 9.95 else f"{number:.2g} %"


def p_value(p: float) -> str:
    """Return a p-value as it is written: ``p = 0.002``, ``p < 0.001``."""
    return f"p = {p:.1g}" if p >= 0.001 else "p < 0.001"


def seconds(value: float) -> str:
    """Return a latency: ``240 ms``, ``1.2 s``; an infinite one is ``off the scale``."""
    if math.isinf(value):
        return "off the scale"
    return f"{1000.0 * value:.3g} ms" if value < 0.9995 else f"{value:.3g} s"


def about(number: int) -> str:
    """Return a count in two digits: ``about 1,200``."""
    return f"about {int(float(f'{number:.1e}')):,}"


def stretch(length: float) -> str:
    """Return a stretch of time in the largest unit that it is longer than: ``45 s``, ``10 min``, ``24 h``, ``7 d``."""
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if length > unit:
            return f"{length / unit:.3g} {name}"
    return f"{length:.3g} s"
