"""Other repositories, whose sources join a build. A run's own token does not read private ones: another may be given.

Ground: the token of a run "is limited to the repository that contains your workflow" (docs.github.com, "GITHUB_TOKEN").
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from bot.errors import ForbiddenError, NotFoundError, UpstreamError
from bot.github.api import Api

HINT = "Give the action's input `sources-token` a token that may read it (`contents: read`)."


class Others:
    """Sources of other repositories of the same GitHub: :class:`bot.core.ports.Sources`.

    ``connect`` makes the adapter of a repository, which is kept. Methods may be called from several threads.
    """

    def __init__(self, connect: Callable[[str], Api]) -> None:
        self._connect = connect
        self._made: dict[str, Api] = {}
        self._lock = threading.Lock()

    def head(self, repository: str) -> str:
        """See the port. 1 call."""
        try:
            return self._of(repository).head()
        except (NotFoundError, ForbiddenError) as error:
            raise _unseen(repository, error) from error

    def source(self, repository: str) -> Callable[[str], AbstractContextManager[Iterator[bytes]]]:
        """Return what streams the gzipped tarball of a sha of a repository."""
        return self._of(repository).tarball

    def _of(self, repository: str) -> Api:
        with self._lock:
            if repository not in self._made:
                self._made[repository] = self._connect(repository)
            return self._made[repository]


def _unseen(repository: str, error: UpstreamError) -> UpstreamError:
    """Return what GitHub's 404 or 403 means here: it answers so for a repository that the token may not see."""
    message = f"The repository {repository}, whose source joins the build, cannot be read."
    known = {"service": "GitHub", "operation": error.operation}
    return type(error)(message, status=error.status, hint=HINT, **known)
