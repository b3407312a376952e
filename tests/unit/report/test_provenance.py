from __future__ import annotations

from dataclasses import replace

from bot.core.images import Provenance
from bot.report.provenance import provenance_lines

IMAGE = "europe-docker.pkg.dev/acme/shop/shop@sha256:9c1e07d2"
FOUND = Provenance(
    image=IMAGE,
    builder="https://cloudbuild.googleapis.com/GoogleHostedWorker@v0.3",
    format="SLSA v0.1",
    source="gs://acme_cloudbuild/source/acme-shop.tgz",
)
SHOW = f"gcloud artifacts docker images describe {IMAGE} --format=json --show-provenance > provenance.json"


def test_nothing_is_said_where_nothing_was_asked_for() -> None:
    assert provenance_lines(None) == ""


def test_builder_and_format_come_with_the_commands_that_verify_them() -> None:
    said, _, commands = provenance_lines(FOUND).partition("\n\n")
    assert (
        said == "Provenance: `SLSA v0.1` by `https://cloudbuild.googleapis.com/GoogleHostedWorker@v0.3`. To verify it:"
    )
    builder = "https://cloudbuild.googleapis.com/GoogleHostedWorker"
    assert commands.splitlines() == [
        "```sh",
        SHOW,
        f"slsa-verifier verify-image {IMAGE} \\",
        f"  --provenance-path provenance.json --source-uri {FOUND.source} --builder-id {builder}",
        "```",
    ]


def test_without_a_source_it_can_only_be_read() -> None:
    said = provenance_lines(replace(FOUND, source=""))
    assert "To read it" in said
    assert "slsa-verifier" not in said


def test_none_yet_says_how_to_look_again() -> None:
    said = provenance_lines(Provenance(image=IMAGE))
    assert said.startswith("Provenance: none was found yet.")
    assert SHOW in said


def test_what_could_not_be_read_says_why_and_stays_text() -> None:
    said = provenance_lines(Provenance(image=IMAGE, trouble="Google Cloud refused: <b>no</b> @lee."))
    assert said.startswith("Provenance: could not be read. Google Cloud refused: ")
    assert "<b>" not in said
    assert "@lee" not in said


def test_what_others_have_named_is_quoted_for_a_shell_and_for_markdown() -> None:
    said = provenance_lines(replace(FOUND, source="gs://x; rm -rf /\n```", builder="`b`"))
    assert "--source-uri 'gs://x; rm -rf /" in said
    assert said.count("\n````") == 2  # the fence is longer than what is inside
