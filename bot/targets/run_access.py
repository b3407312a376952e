"""Who may call a Cloud Run service: its IAM policy, read and changed under the policy's own etag."""

from __future__ import annotations

from google.cloud import run_v2
from google.iam.v1 import iam_policy_pb2, policy_pb2  # type: ignore[import-untyped]

from bot.targets.google import Google
from bot.targets.google_errors import change, read
from bot.targets.run_service import is_public, with_public


def public(google: Google, name: str, service: run_v2.Service) -> bool:
    """Whether anyone may call a service. ``name`` is its full name."""
    return is_public(service, _policy(google, name))


def set_public(google: Google, name: str, *, public: bool) -> None:
    """Let everyone call a service, or nobody but those named in its policy. The policy's etag guards it."""
    policy = with_public(_policy(google, name), public=public)
    request, client = iam_policy_pb2.SetIamPolicyRequest(resource=name, policy=policy), google.services
    change(
        "set who may call the service",
        lambda: client.set_iam_policy(request=request, retry=None, timeout=google.timeout),
    )


def _policy(google: Google, name: str) -> policy_pb2.Policy:
    request, client = iam_policy_pb2.GetIamPolicyRequest(resource=name), google.services
    policy: policy_pb2.Policy = read(
        "read who may call the service",
        lambda: client.get_iam_policy(request=request, retry=None, timeout=google.timeout),
    )
    return policy
