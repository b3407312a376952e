"""GitHub on loopback: REST, the GraphQL a bot uses, and identity tokens, over real bare git repositories."""

from bot.sandbox.github.model import Comment, Deployment, DeploymentStatus, Run
from bot.sandbox.github.repository import Repository
from bot.sandbox.github.server import RUN_PERMISSIONS, GitHub

__all__ = ["RUN_PERMISSIONS", "Comment", "Deployment", "DeploymentStatus", "GitHub", "Repository", "Run"]
