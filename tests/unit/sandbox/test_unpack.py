"""Archives of sources are unpacked, and nothing of them lands elsewhere, by Python's own filter and without it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from bot.sandbox.unpack import FILTERED, unpack

BOTH = [False, True] if FILTERED else [False]
LINKS = {"sym": tarfile.SYMTYPE, "link": tarfile.LNKTYPE}


def archive(*members: tuple[str, str, str]) -> tarfile.TarFile:
    """An archive of ``(kind, name, content or target)``."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        for kind, name, text in members:
            member = tarfile.TarInfo(name)
            if kind == "file":
                member.size = len(text)
                made.addfile(member, io.BytesIO(text.encode()))
                continue
            member.type = {"dir": tarfile.DIRTYPE, "fifo": tarfile.FIFOTYPE, **LINKS}[kind]
            member.linkname, member.mode = text, 0o755
            made.addfile(member)
    stream.seek(0)
    return tarfile.open(fileobj=stream)


@pytest.mark.parametrize("filtered", BOTH)
def test_what_stays_within_is_unpacked(tmp_path: Path, filtered: bool) -> None:
    made = archive(
        ("dir", "shop", ""), ("file", "shop/a.txt", "one"), ("sym", "shop/b.txt", "a.txt"), ("sym", "shop/c", "../shop/a.txt"),
        ("link", "d.txt", "shop/a.txt"),
    )  # fmt: skip
    unpack(made, tmp_path, filtered=filtered)
    assert [(tmp_path / name).read_text() for name in ("shop/a.txt", "shop/b.txt", "shop/c", "d.txt")] == ["one"] * 4


@pytest.mark.parametrize("filtered", BOTH)
def test_some_members_alone(tmp_path: Path, filtered: bool) -> None:
    made = archive(("file", "a", "1"), ("file", "b", "2"))
    unpack(made, tmp_path, [made.getmember("b")], filtered=filtered)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b"]


@pytest.mark.parametrize(
    "member",
    [
        ("file", "../out", "x"),
        ("file", "a/../../out", "x"),
        ("sym", "a", "/etc/passwd"),
        ("sym", "a", "../out"),
        ("sym", "a/b", "../../out"),
        ("link", "a", "../out"),
        ("fifo", "a", ""),
    ],
)
@pytest.mark.parametrize("filtered", BOTH)
def test_what_would_leave_the_folder_is_refused(tmp_path: Path, member: tuple[str, str, str], filtered: bool) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with pytest.raises(tarfile.TarError):
        unpack(archive(member), folder, filtered=filtered)
    assert not (tmp_path / "out").exists()
    assert list(folder.iterdir()) == []
