"""The shop that scenarios without processes have answers as the code in its image would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.sandbox.oci import Image
from bot.sandbox.sample import VARIANTS, files
from bot.sandbox.scenarios.model import Shop


@pytest.fixture
def make_image(tmp_path: Path) -> Callable[..., Image]:
    def make(variant: str = "") -> Image:
        root = tmp_path / (variant or "main")
        for path, text in {**files(), **(VARIANTS[variant].files if variant else {})}.items():
            (root / "app" / path).parent.mkdir(parents=True, exist_ok=True)
            (root / "app" / path).write_text(text or "")
        return Image(
            digest=f"sha256:{variant}", root=root, workdir="/app", env={"SHOP_VERSION": "abc1234"}, entrypoint=(),
            command=("gunicorn",), labels={}, port=8080, created=0.0,
        )  # fmt: skip

    return make


def test_good_code_answers_well(make_image: Callable[..., Image]) -> None:
    shop = Shop()
    for image in (make_image(), make_image("feature")):
        health = shop(image, {"APP_ROLE": "worker"}, "GET", "/health/")
        assert health == (200, b'{"status":"healthy","version":"abc1234","role":"worker"}', 0.0)
        assert shop(image, {}, "GET", "/api/me/").status == 401
        assert {shop(image, {}, "GET", "/").status for _ in range(100)} == {200}


def test_failing_pages_fail_by_their_share_and_nothing_else_does(make_image: Callable[..., Image]) -> None:
    shop, image = Shop(), make_image("failing_pages")
    statuses = [shop(image, {}, "GET", "/").status for _ in range(1000)]
    assert 150 <= Counter(statuses)[500] <= 250
    again = Shop()
    assert statuses == [again(image, {}, "GET", "/").status for _ in range(1000)]
    assert {shop(image, {}, "GET", "/health/").status for _ in range(100)} == {200}


def test_slow_pages_pretend(make_image: Callable[..., Image]) -> None:
    shop, image = Shop(), make_image("slow_pages")
    assert shop(image, {}, "GET", "/").seconds == VARIANTS["slow_pages"].slower
    assert shop(image, {}, "GET", "/health/").seconds == 0.0
