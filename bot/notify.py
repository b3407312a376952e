"""Sends notices: to Slack, or what understands its webhooks, and signed to a server of yours (standardwebhooks.com)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import requests
import stamina

from bot.core.notices import Notice
from bot.errors import SettingsError, UpstreamError

ATTEMPTS = 3


@dataclass(frozen=True, kw_only=True)
class Notifier:
    """Where notices go. ``""``: nowhere. ``timeout`` bounds one try, in seconds; ``now``: seconds since the epoch."""

    slack_url: str = ""
    webhook_url: str = ""
    webhook_secret: str = ""
    timeout: float
    now: Callable[[], float]

    def send(self, notice: Notice) -> tuple[str, ...]:
        """Send a notice everywhere; returns what could not be done, in sentences. Never raises."""
        ways: list[tuple[str, str, Callable[[Notice], None]]] = [
            ("Slack", self.slack_url, self._slack),
            ("the webhook", self.webhook_url, self._webhook),
        ]
        return tuple(filter(None, (_tried(name, url, way, notice) for name, url, way in ways if url)))

    def _slack(self, notice: Notice) -> None:
        from slack_sdk.webhook import WebhookClient  # noqa: PLC0415 - few runs send anything

        link = f" <{notice.link}|more>" if notice.link else ""
        client = WebhookClient(self.slack_url, timeout=int(max(1.0, self.timeout)))
        answer = client.send(text=_plain(notice.text) + link)
        if answer.status_code != 200:
            raise UpstreamError(
                f"It answered {answer.status_code}.", service="Slack", operation="notify", status=answer.status_code
            )

    def _webhook(self, notice: Notice) -> None:
        from standardwebhooks import Webhook  # noqa: PLC0415 - see above

        moment = datetime.fromtimestamp(self.now(), UTC)
        body = json.dumps({**notice.data, "timestamp": moment.isoformat()}, sort_keys=True)
        headers = {
            "content-type": "application/json",
            "webhook-id": notice.id,
            "webhook-timestamp": str(int(moment.timestamp())),
        }
        if self.webhook_secret:
            try:
                headers["webhook-signature"] = Webhook(self.webhook_secret).sign(notice.id, moment, body)
            except Exception as error:  # what it raises for a key that is no base64, or empty, has no common type
                raise SettingsError(
                    "The input `webhook-secret` is no secret of a webhook: `whsec_` and base64."
                ) from error
        # The receiver knows a repeated one by its id.
        for attempt in stamina.retry_context(on=_transient, attempts=ATTEMPTS, timeout=None, wait_initial=0.2):
            with attempt:
                self._post(body, headers)

    def _post(self, body: str, headers: Mapping[str, str]) -> None:
        answer = requests.post(
            self.webhook_url, data=body.encode(), headers=dict(headers), timeout=self.timeout, allow_redirects=False
        )
        if not 200 <= answer.status_code < 300:
            raise UpstreamError(
                f"It answered {answer.status_code}.", service="webhook", operation="notify", status=answer.status_code
            )


def _transient(error: Exception) -> bool:
    if isinstance(error, UpstreamError):
        return error.status >= 500 or error.status == 429
    return isinstance(error, requests.ConnectionError | requests.Timeout)


def _tried(name: str, url: str, way: Callable[[Notice], None], notice: Notice) -> str:
    if not _allowed(url):
        return f"{name} could not be told: its address should begin with https://."
    try:
        way(notice)
    except Exception as error:  # noqa: BLE001 - whatever it is, a release does not hang on it
        said = error.message if isinstance(error, UpstreamError | SettingsError) else f"{type(error).__name__}."
        return f"{name} could not be told: {said}"
    return ""


def _allowed(url: str) -> bool:
    """Whether an address is https, or this machine's own."""
    try:
        parts = urlsplit(url)
        own = (parts.scheme, parts.hostname) in {("http", "127.0.0.1"), ("http", "localhost")}
        return own or (parts.scheme == "https" and bool(parts.hostname))
    except ValueError:
        return False


def _plain(text: str) -> str:
    """Escape what Slack takes for markup (docs.slack.dev: formatting text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
