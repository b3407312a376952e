"""GitHub's OpenID Connect provider for workflow runs: RS256 tokens that say which run asks.

Claims are those of docs.github.com, "OpenID Connect reference"; ids are strings there.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from bot.sandbox.github.model import Run
    from bot.sandbox.github.repository import Repository
    from bot.sandbox.github.server import GitHub

KEY_ID = "sandbox-1"
LIFETIME = 300  # seconds


class Oidc:
    """The issuer. Its key is made at first use."""

    def __init__(self, github: GitHub) -> None:
        self.github = github
        self._key: RSAPrivateKey | None = None
        self._grants: dict[str, tuple[Repository, Run]] = {}

    def grant(self, repo: Repository, run: Run) -> str:
        """Return a request token (``ACTIONS_ID_TOKEN_REQUEST_TOKEN``) for a run."""
        token = secrets.token_urlsafe(24)
        self._grants[token] = (repo, run)
        return token

    def granted(self, token: str) -> tuple[Repository, Run] | None:
        """Return the run a request token belongs to; a finished run's token is dead."""
        found = self._grants.get(token)
        return found if found and found[1].status != "completed" else None

    def key(self) -> RSAPrivateKey:
        """Return the signing key."""
        from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415  # slow, and seldom needed

        if self._key is None:
            self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return self._key

    def token(self, repo: Repository, run: Run, audience: str | None) -> str:
        """Return a signed token. The default audience is the owner's page."""
        import jwt  # noqa: PLC0415  # as above

        return jwt.encode(self.claims(repo, run, audience), self.key(), algorithm="RS256", headers={"kid": KEY_ID})

    def claims(self, repo: Repository, run: Run, audience: str | None) -> dict[str, Any]:
        """Return the claims of a token.

        The subject names the environment when the job has one, else ``pull_request`` for that event, else the ref.
        """
        now = int(self.github.now())
        workflow_ref = f"{repo.full_name}/{run.path}@{repo.workflow_ref(run)}"
        where = "pull_request" if run.event == "pull_request" else f"ref:{run.ref}"
        if run.environment:
            where = f"environment:{run.environment}"
        return {
            "jti": secrets.token_hex(16),
            "sub": f"repo:{repo.full_name}:{where}",
            "aud": audience or f"{self.github.url}/{repo.owner}",
            "ref": run.ref,
            "sha": run.sha,
            "repository": repo.full_name,
            "repository_owner": repo.owner,
            "repository_owner_id": str(self.github.user(repo.owner).id),
            "run_id": str(run.id),
            "run_number": str(run.number),
            "run_attempt": str(run.attempt),
            "repository_visibility": "private" if repo.private else "public",
            "repository_id": str(repo.id),
            "actor_id": str(self.github.user(run.actor).id),
            "actor": run.actor,
            "workflow": run.workflow,
            "head_ref": run.head_ref,
            "base_ref": run.base_ref,
            "event_name": run.event,
            "ref_protected": str(run.ref.removeprefix("refs/heads/") in repo.state.protections).lower(),
            "ref_type": "tag" if run.ref.startswith("refs/tags/") else "branch",
            "workflow_ref": workflow_ref,
            "workflow_sha": run.sha,
            "job_workflow_ref": workflow_ref,
            "job_workflow_sha": run.sha,
            "runner_environment": "github-hosted",
            **({"environment": run.environment} if run.environment else {}),
            "iss": self.github.url,
            "nbf": now - LIFETIME,
            "exp": now + LIFETIME,
            "iat": now,
        }

    def jwks(self) -> dict[str, Any]:
        """Return the public key as a JSON Web Key Set."""
        from jwt.algorithms import RSAAlgorithm  # noqa: PLC0415  # as above

        public = RSAAlgorithm.to_jwk(self.key().public_key(), as_dict=True)
        return {"keys": [{**public, "use": "sig", "alg": "RS256", "kid": KEY_ID}]}

    def configuration(self) -> dict[str, Any]:
        """Return the provider's discovery document."""
        return {
            "issuer": self.github.url,
            "jwks_uri": f"{self.github.url}/.well-known/jwks",
            "subject_types_supported": ["public", "pairwise"],
            "response_types_supported": ["id_token"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid"],
        }
