"""Structured logs on standard error, masked.

One object for each event. On a terminal it is coloured for people. Elsewhere it is one line of JSON: the runner reads
standard error for workflow commands. Those of today must begin a line, and a line of JSON never begins with ``::``; the
older form, ``##[``, counts anywhere (actions/runner, ``ActionCommand.cs``), so it is escaped.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from bot.core.redaction import Masker

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Context:
    """Key-values of every later line, in all threads: repository, pull request, sha, environment."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def bind(self, **values: Any) -> None:
        """Add key-values; a later value of a key takes the place of an earlier one."""
        self._values = {**self._values, **values}

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Put the key-values into an event, under those it has itself (a processor of structlog)."""
        return {**self._values, **event}


def configure(*, level: str, masker: Masker, stream: TextIO | None = None) -> Context:
    """Set up logging for the process and return the context to bind key-values to.

    ``level`` is ``debug``, ``info``, ``warning`` or ``error``, in any case; another word counts as ``info``. What the
    standard library's loggers say goes the same way, so that no library writes past the masker, and only from
    ``warning`` up: some libraries' debug lines hold whole requests.
    """
    stream = sys.stderr if stream is None else stream
    number = _LEVELS.get(level.strip().lower(), logging.INFO)
    context = Context()
    structlog.configure(
        processors=[
            context,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _masked(masker),
            _renderer(terminal=stream.isatty()),
            _masked_line(masker),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [*root.handlers]:
        if isinstance(handler, _Bridge):
            root.removeHandler(handler)
    root.addHandler(_Bridge())
    root.setLevel(max(number, logging.WARNING))
    return context


class _Bridge(logging.Handler):
    """Hands the records of the standard library's loggers to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record, of a level between two of structlog's at the lower."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # arguments that do not fit; logging would print them unmasked
            message = str(record.msg)
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        structlog.get_logger().log(level, message, logger=record.name, exc_info=record.exc_info or None)


def _renderer(*, terminal: bool) -> Processor:
    if terminal:
        # The exception is text by now. A traceback rendered here could show local variables.
        return structlog.dev.ConsoleRenderer(colors=True, exception_formatter=structlog.dev.plain_traceback)
    return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)


def _masked(masker: Masker) -> Processor:
    """Mask the values before they are rendered: then what is masked is never half of a JSON string."""

    def process(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> EventDict:
        return masker.mask_all(dict(event))

    return process


def _masked_line(masker: Masker) -> Processor:
    """Mask the rendered line again, for values that only became text while it was rendered."""

    def process(_logger: WrappedLogger, _method: str, line: Any) -> str:
        return masker.mask(str(line)).replace("##[", "##\\u005b")

    return process
