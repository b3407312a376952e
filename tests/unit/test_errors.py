from __future__ import annotations

from bot import errors
from bot.core.outcome import Reason
from bot.errors import ConfigError, SlipwayError, UpstreamError


def test_each_error_has_a_reason_of_the_closed_set() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SlipwayError)]
    assert len(kinds) >= 10
    reasons = {kind.__name__: kind.reason for kind in kinds}
    assert set(reasons.values()) <= {reason.value for reason in Reason}
    assert len(set(reasons.values())) == len(reasons), "each kind of error can be told from the others"


def test_an_error_carries_the_sentence_for_its_reader() -> None:
    error = UpstreamError("It said no.", service="Cloud Run", operation="get", status=403, hint="Grant it.")
    assert (str(error), error.message, error.hint) == ("It said no.", "It said no.", "Grant it.")
    assert (error.service, error.operation, error.status) == ("Cloud Run", "get", 403)
    assert ConfigError("Bad.", problems=("a:1: b",)).problems == ("a:1: b",)
