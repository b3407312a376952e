"""What a builder attests of an image, and how to verify it, as Markdown."""

from __future__ import annotations

import shlex

from bot.core.images import Provenance
from bot.report.markdown import code, fence, prose


def provenance_lines(provenance: Provenance | None) -> str:
    """Return builder, format and the commands that verify it; ``""`` where none was asked for.

    Grounds: cloud.google.com/build/docs/securing-builds/generate-validate-build-provenance; slsa-verifier's README,
    "Verification for Google Cloud Build". The verifier takes the builder's id without its version.
    """
    if provenance is None:
        return ""
    if provenance.trouble:
        return f"Provenance: could not be read. {prose(provenance.trouble)}"
    image = shlex.quote(provenance.image)
    show = f"gcloud artifacts docker images describe {image} --format=json --show-provenance > provenance.json"
    if not provenance.builder:
        return f"Provenance: none was found yet. To look again:\n\n{fence(show, 'sh')}"
    source, builder = shlex.quote(provenance.source), shlex.quote(provenance.builder.partition("@")[0])
    lines = [
        show,
        f"slsa-verifier verify-image {image} \\",
        f"  --provenance-path provenance.json --source-uri {source} --builder-id {builder}",
    ]
    what = f"Provenance: {code(provenance.format)} by {code(provenance.builder)}"
    if not provenance.source:
        return f"{what}. To read it:\n\n{fence(show, 'sh')}"
    return f"{what}. To verify it:\n\n{fence(chr(10).join(lines), 'sh')}"
