"""What has to be done at the end of a release is not given up for one answer that turns it down.

Adapters try again where an answer is missing or says that the server is ill. One that calls the request wrong
(400, 422) they take for final, as it should be. But at the end, users may be left with what failed, or people with a
comment that is not true: there a proxy's whim or a fault of the provider's own is reason enough to ask once more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from bot.engine.clock import Clock
from bot.errors import ConflictError, ForbiddenError, NotFoundError, UpstreamError

T = TypeVar("T")

TRIES = 3
PAUSE = 0.5  # seconds: a cancelled run has few of them


def insist(do: Callable[[], T], clock: Clock) -> T:
    """Do something that may be done again, up to :data:`TRIES` times while it is turned down. Raises as it does."""
    for _ in range(TRIES - 1):
        try:
            return do()
        except UpstreamError as error:
            if not _turned_down(error):
                raise
        clock.sleep(PAUSE)
    return do()


def _turned_down(error: UpstreamError) -> bool:
    """Whether an answer called the request wrong; what is missing, forbidden or somebody else's by now stays so."""
    clear = isinstance(error, NotFoundError | ForbiddenError | ConflictError)
    return 400 <= error.status < 500 and error.status != 429 and not clear
