"""Small words: the nearest valid name, counts, short shas."""

from __future__ import annotations

from collections.abc import Iterable


def short(sha: str) -> str:
    """Return the seven digits that people read."""
    return sha[:7]


def distance(one: str, other: str) -> int:
    """Return the Damerau-Levenshtein distance (a swap of neighbours counts one)."""
    rows = [list(range(len(other) + 1))]
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            cost = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


def nearest(name: str, names: Iterable[str], *, distance: int = 2) -> str | None:
    """Return the valid name nearest to a mistyped one, None when none is within ``distance`` edits."""
    measure = _distance_of
    close = (candidate for candidate in names if abs(len(candidate) - len(name)) <= distance)
    ranked = sorted((measure(name, candidate), candidate) for candidate in close)
    return ranked[0][1] if ranked and ranked[0][0] <= distance else None


_distance_of = distance


def listed(names: Iterable[str]) -> str:
    """Return names as inline code: ``a``, ``a and b``, ``a, b and c``."""
    *most, last = [f"`{name}`" for name in names] or [""]
    return f"{', '.join(most)} and {last}" if most else last


def there_is(names: Iterable[str]) -> str:
    """Return what there is: ``there is a``, ``there are a and b``, ``there is none``."""
    known = list(names)
    return f"there {'are' if len(known) > 1 else 'is'} {listed(known) or 'none'}"


def no_such(what: str, name: str, names: Iterable[str]) -> str:
    """Return what to say of a name that leads nowhere: the nearest one, else all."""
    names = sorted(names)
    guess = nearest(name, names)
    return f"there is no {what} `{name}`; " + (f"did you mean `{guess}`?" if guess else there_is(names))


def spent(seconds: float, total: float) -> str:
    """Return how much of a time is over, in the unit that suits the whole: ``12 of 60 minutes``."""
    days, hours, minutes = 86400.0, 3600.0, 60.0
    for least, size, unit in ((4 * days, days, "days"), (4 * hours, hours, "hours"), (3 * minutes, minutes, "minutes")):
        if total >= least:
            return f"{int(min(seconds, total) // size)} of {total / size:g} {unit}"
    return f"{int(min(seconds, total))} of {total:g} seconds"
