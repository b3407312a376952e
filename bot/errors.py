"""The error tree. Each error carries the sentence its reader needs.

A user's mistake is a value (a refusal in :mod:`bot.core.outcome`), not an exception; what is raised here is a fault of
the world around the bot, and only :mod:`bot.cli` catches the whole tree.
"""

from __future__ import annotations


class SlipwayError(Exception):
    """Base of everything the bot raises on purpose.

    ``reason`` is the snake_case code of the output ``reason`` (a member of :class:`bot.core.outcome.Reason`), ``hint``
    says what to type or change next.
    """

    reason = "internal_error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SettingsError(SlipwayError):
    """The action's own inputs or environment are unusable."""

    reason = "settings_invalid"


class EventError(SlipwayError):
    """The event file is unreadable or not of the shape GitHub documents."""

    reason = "event_invalid"


class ConfigError(SlipwayError):
    """The configuration is absent or wrong. ``problems`` are lines of ``file:line: key.path: what``."""

    reason = "config_invalid"

    def __init__(self, message: str, *, problems: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.problems = problems


class UpstreamError(SlipwayError):
    """GitHub, Google or Heroku answered with an error, or not at all.

    ``service`` names the API, ``operation`` what was asked, ``status`` the HTTP status (0: no answer).
    """

    reason = "upstream_failed"

    def __init__(self, message: str, *, service: str, operation: str, status: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.service = service
        self.operation = operation
        self.status = status


class NotFoundError(UpstreamError):
    """The thing asked for does not exist, or the credentials may not see it (providers answer 404 for both)."""

    reason = "not_found"


class ForbiddenError(UpstreamError):
    """The credentials are not allowed to do this."""

    reason = "upstream_forbidden"


class ConflictError(UpstreamError):
    """Somebody else changed it first: a stale etag, a taken name, a ref that exists."""

    reason = "conflict"


class AuthError(SlipwayError):
    """No usable credentials. The message names the permission or setting that is missing."""

    reason = "auth_failed"


class CancelledError(SlipwayError):
    """The run was asked to stop (SIGTERM, SIGINT, ``/cancel``)."""

    reason = "cancelled"
