"""How the chance of a false alarm is spread over the looks."""

from __future__ import annotations

from bot.core.canary.values import Analysis, Look


def level(analysis: Analysis, look: Look) -> float:
    """Return the chance of a false alarm that one metric of one service may take at a look.

    Whoever looks often enough sees something: twenty separate looks that err in 5 % each raise a false alarm in two
    rollouts of three. So there is one budget, 1 - confidence. It is split evenly over metrics and services, and over
    the looks such that after the share ``t`` of them the share ``t`` squared is spent. Little is spent early, where
    requests are few and few users are at stake: what shows there must be blatant. Each look's test may take only what
    it adds. Then the sum bounds the whole, whatever the looks have to do with each other. (Alpha spending, of the power
    family: Kim and DeMets 1987.)

    Looks after the last may take nothing: a rollout must be planned with as many as it may need.
    """
    done, before = (min(1.0, each / look.of) for each in (look.number, look.number - 1))
    return (1.0 - analysis.confidence) / (len(analysis.metrics) * analysis.services) * (done * done - before * before)
