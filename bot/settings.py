"""What the runner and the action's inputs say, read once from the environment.

Every name that is read stands here as a literal: a contract test compares them with ``action.yml`` and the docs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args
from urllib.parse import urlsplit

from bot.core.events import Event, parse_event
from bot.core.facts import Run
from bot.errors import EventError, SettingsError

Phase = Literal["all", "command", "release", "ask"]
MAX_EVENT = 32 << 20  # bytes; GitHub cuts payloads at 25 MB
# Seconds for one call. GitHub ends a request itself after 10 s (docs.github.com, "Troubleshooting the REST API",
# "Timeouts"), so what is given up after 20 s has been given up there too.
CALL_TIMEOUT = 20
_LONGEST_CALL = 120
SHORTEST_KEY = 32
"""Characters that a key for signing must have: whoever reads a comment may try keys against its signature for ever."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The action's inputs and the runner's facts. Secrets are not in its ``repr``."""

    repository: str
    event_name: str
    event_path: Path
    run: Run
    token: str = field(repr=False)
    api_url: str = "https://api.github.com"
    graphql_url: str = "https://api.github.com/graphql"
    server_url: str = "https://github.com"
    sha: str = ""
    ref: str = ""
    actor: str = ""
    config_path: str = ".github/slipway.yml"
    phase: Phase = "all"
    environment: str = ""
    pinned_sha: str = ""
    reaction_id: int = 0
    command: str = ""
    services: tuple[str, ...] = ()
    reason: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    allowed_bots: frozenset[int] = frozenset()
    log_level: str = "info"
    call_timeout: int = CALL_TIMEOUT
    oidc_url: str = ""
    oidc_token: str = field(default="", repr=False)
    heroku_api_key: str = field(default="", repr=False)
    sources_token: str = field(default="", repr=False)
    slack_url: str = field(default="", repr=False)  # whoever knows such an address may write there
    webhook_url: str = field(default="", repr=False)
    webhook_secret: str = field(default="", repr=False)
    signing_key: str = field(default="", repr=False)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings.

        Raises:
            SettingsError: something required is absent, or an input is not what it should be.
        """
        return cls(
            repository=_repository(environ, "GITHUB_REPOSITORY"),
            event_name=_required(environ, "GITHUB_EVENT_NAME"),
            event_path=Path(_required(environ, "GITHUB_EVENT_PATH")),
            run=Run(
                id=_number(environ, "GITHUB_RUN_ID", required=True),  # locks and the record name their owner by it
                attempt=_number(environ, "GITHUB_RUN_ATTEMPT") or 1,
                url=_run_url(environ),
            ),
            token=_required(environ, "GITHUB_TOKEN"),
            api_url=_endpoint(environ, "GITHUB_API_URL", "https://api.github.com"),
            graphql_url=_endpoint(environ, "GITHUB_GRAPHQL_URL", "https://api.github.com/graphql"),
            server_url=_endpoint(environ, "GITHUB_SERVER_URL", "https://github.com"),
            sha=environ.get("GITHUB_SHA", ""),
            ref=environ.get("GITHUB_REF", ""),
            actor=environ.get("GITHUB_TRIGGERING_ACTOR", "") or environ.get("GITHUB_ACTOR", ""),
            config_path=environ.get("SLIPWAY_CONFIG_PATH", "") or ".github/slipway.yml",
            phase=_phase(environ.get("SLIPWAY_PHASE", "") or "all"),
            environment=environ.get("SLIPWAY_ENVIRONMENT", ""),
            pinned_sha=_sha(environ, "SLIPWAY_SHA"),
            reaction_id=_number(environ, "SLIPWAY_REACTION_ID"),
            command=environ.get("SLIPWAY_COMMAND", "").strip().lstrip("/").lower(),
            services=tuple(environ.get("SLIPWAY_SERVICES", "").replace(",", " ").split()),
            reason=environ.get("SLIPWAY_REASON", ""),
            variables=_variables(environ.get("SLIPWAY_VARS", "")),
            allowed_bots=_numbers(environ, "SLIPWAY_ALLOWED_BOTS"),
            log_level=environ.get("SLIPWAY_LOG_LEVEL", "") or "info",
            call_timeout=_call_timeout(environ, "SLIPWAY_CALL_TIMEOUT"),
            oidc_url=environ.get("ACTIONS_ID_TOKEN_REQUEST_URL", ""),
            oidc_token=environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", ""),
            heroku_api_key=environ.get("HEROKU_API_KEY", ""),
            sources_token=environ.get("SLIPWAY_SOURCES_TOKEN", ""),
            slack_url=environ.get("SLIPWAY_SLACK_WEBHOOK_URL", ""),
            webhook_url=environ.get("SLIPWAY_WEBHOOK_URL", ""),
            webhook_secret=environ.get("SLIPWAY_WEBHOOK_SECRET", ""),
            signing_key=_signing_key(environ, "SLIPWAY_SIGNING_KEY"),
        )

    @property
    def started_again_by(self) -> str:
        """Who started the run again, ``""`` for the first attempt. The event's payload stays that of the first."""
        return self.actor if self.run.attempt > 1 else ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never reach output."""
        held = (
            self.token, self.oidc_token, self.heroku_api_key, self.sources_token,
            self.slack_url, self.webhook_url, self.webhook_secret, self.signing_key,
        )  # fmt: skip
        return tuple(value for value in held if value)

    def event(self) -> Event | None:
        """Read the event; None for one that is no concern of ours.

        Raises:
            EventError: the file is unreadable, no JSON, or not of the shape GitHub documents.
        """
        try:
            if self.event_path.stat().st_size > MAX_EVENT:
                raise EventError(f"The event file {self.event_path.name} is larger than {MAX_EVENT >> 20} MB.")
            payload: Any = json.loads(self.event_path.read_bytes())
        except OSError as error:
            raise EventError(f"The event file {self.event_path.name} cannot be read: {error.strerror}.") from None
        except (ValueError, RecursionError):
            raise EventError(f"The event file {self.event_path.name} is not JSON.") from None
        return parse_event(self.event_name, payload, sha=self.sha, repository=self.repository, ref=self.ref)


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set.", hint="The bot runs inside GitHub Actions: see docs/tutorial.md.")
    return value


def _repository(environ: Mapping[str, str], name: str) -> str:
    value = _required(environ, name)
    owner, _, repository = value.partition("/")
    if not owner or not repository or "/" in repository:
        raise SettingsError(f"{name} should be owner/name, not {value!r}.")
    return value


def _number(environ: Mapping[str, str], name: str, *, required: bool = False) -> int:
    value = (_required(environ, name) if required else environ.get(name, "")).strip()
    if value and not _is_number(value):
        raise SettingsError(f"{name} should be a number, not {value[:40]!r}.")
    return int(value) if value else 0


def _is_number(word: str) -> bool:
    """Whether a word is an id of GitHub's: they fit 64 bits, and Python reads no longer ones for fear of their cost."""
    return word.isascii() and word.isdecimal() and len(word) <= 19


def _call_timeout(environ: Mapping[str, str], name: str) -> int:
    value = environ.get(name, "").strip() or str(CALL_TIMEOUT)
    if _is_number(value) and 1 <= int(value) <= _LONGEST_CALL:  # whole seconds: PyGithub takes no others
        return int(value)
    raise SettingsError(f"{name} should be whole seconds from 1 to {_LONGEST_CALL}, not {value[:40]!r}.")


def _numbers(environ: Mapping[str, str], name: str) -> frozenset[int]:
    words = environ.get(name, "").replace(",", " ").split()
    if not all(map(_is_number, words)):
        raise SettingsError(f"{name} should hold numeric user ids, separated by commas.")
    return frozenset(int(word) for word in words)


def _phase(value: str) -> Phase:
    if value not in get_args(Phase):
        raise SettingsError(f"The input `phase` should be all, command, release or ask, not {value!r}.")
    return cast(Phase, value)


def signing_keys(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Read the keys that comments are signed with: one on each line, none if the variable is absent.

    Raises:
        SettingsError: one is too short.
    """
    keys = tuple(line.strip() for line in environ.get(name, "").splitlines() if line.strip())
    if any(len(key) < SHORTEST_KEY for key in keys):
        raise SettingsError(
            f"{name} should be at least {SHORTEST_KEY} characters long.", hint="Make one: openssl rand -hex 32"
        )
    return keys


def _signing_key(environ: Mapping[str, str], name: str) -> str:
    keys = signing_keys(environ, name)
    if len(keys) > 1:
        raise SettingsError(f"{name} should be one line: only one key signs. Its readers may have several.")
    return keys[0] if keys else ""


def _sha(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip().lstrip("@").lower()
    if value and (not 7 <= len(value) <= 40 or set(value) - set("0123456789abcdef")):
        raise SettingsError(f"{name} should be 7 to 40 hex digits, not {value!r}.")
    return value


def _endpoint(environ: Mapping[str, str], name: str, default: str) -> str:
    value = (environ.get(name, "") or default).rstrip("/")
    try:
        scheme, host = urlsplit(value).scheme, urlsplit(value).hostname
    except ValueError:  # brackets of an IPv6 address that do not close
        scheme, host = "", None
    if host and (scheme == "https" or (scheme == "http" and host in {"127.0.0.1", "localhost", "::1"})):
        return value
    raise SettingsError(f"{name} should be an https URL (http is for loopback only), not {value!r}.")


def _run_url(environ: Mapping[str, str]) -> str:
    server = _endpoint(environ, "GITHUB_SERVER_URL", "https://github.com")
    return f"{server}/{environ.get('GITHUB_REPOSITORY', '')}/actions/runs/{environ.get('GITHUB_RUN_ID', '')}"


def _variables(text: str) -> dict[str, str]:
    if not text.strip():
        return {}
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise SettingsError("The input `vars` is not a JSON object.", hint="Give it `${{ toJSON(vars) }}`.")
    return {str(key): str(value) for key, value in data.items()}
