"""Images: the Dockerfile's text, the build, the digest and the store."""

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.sandbox.dockerfile import argv, expand, ignore, parse, words
from bot.sandbox.images import BuildFailed, Image, ImageStore, build, pack, place, split_tag

Build = Callable[..., Image]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "src" / "deep").mkdir(parents=True)
    (folder / "src" / "a.py").write_text("print('a')\n")
    (folder / "src" / "deep" / "b.txt").write_text("b")
    (folder / "start.sh").write_text("#!/bin/sh\necho started\n")
    (folder / ".env").write_text("SECRET=1")
    return folder


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def make(tmp_path: Path, context: Path, lines: list[str]) -> Build:
    def run(text: str, **options: object) -> Image:
        (context / "Dockerfile").write_text(text)
        return build(context, store_root=tmp_path / "store", log=lines.append, **options)  # type: ignore[arg-type]

    return run


def names(image: Image) -> list[str]:
    return sorted(path.relative_to(image.root).as_posix() for path in image.root.rglob("*") if path.is_file())


def test_a_whole_file(make: Build, lines: list[str]) -> None:
    image = make(
        "# syntax=docker/dockerfile:1\n"
        "ARG BASE=python\n"
        "FROM ${BASE}:3.12 AS tools\n"
        "RUN mkdir -p out && \\\n"
        "    # a comment between\n"
        "    echo made > out/tool\n"
        "FROM python:3.12-slim\n"
        "ARG VERSION=dev\n"
        'ENV SHOP_VERSION=$VERSION NAME="two words"\n'
        "ENV OLD form of it\n"
        "LABEL a=${VERSION} b='$VERSION'\n"
        "WORKDIR /app\n"
        "WORKDIR sub/..\n"
        "COPY --chown=me:me src ./src/\n"
        "COPY --from=tools /out/tool bin/\n"
        "COPY --from=0 out/tool bin/again\n"
        'RUN python -c \'import os; print(os.environ["NAME"], os.getcwd() == "/app")\'\n'
        "EXPOSE 8080/tcp 9000\n"
        "USER nobody\n"
        'ENTRYPOINT ["python", "-m"]\n'
        "CMD src.a\n",
        build_args={"VERSION": "1.2", "UNUSED": "x"},
        labels={"sha": "abc"},
    )
    assert names(image) == ["app/bin/again", "app/bin/tool", "app/src/a.py", "app/src/deep/b.txt"]
    assert dict(image.env) == {"SHOP_VERSION": "1.2", "NAME": "two words", "OLD": "form of it"}
    assert dict(image.labels) == {"a": "1.2", "b": "$VERSION", "sha": "abc"}
    assert (image.workdir, image.port) == ("/app", 8080)
    assert (image.entrypoint, image.command) == (("python", "-m"), ("/bin/sh", "-c", "src.a"))
    assert "two words True" in lines
    assert any("not as nobody" in line for line in lines)


def test_the_digest_is_of_the_manifest_and_its_parts_are_linked(make: Build) -> None:
    image = make("FROM a\nCOPY src /src\n")
    manifest = json.loads(image.manifest)
    assert image.digest == "sha256:" + hashlib.sha256(image.manifest).hexdigest()
    assert manifest["schemaVersion"] == 2
    assert manifest["layers"][0]["size"] == len("print('a')\n") + 1


def test_the_digest_follows_content_and_configuration(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "a").write_text("1")
    (root / "link").symlink_to("a")
    same = pack(root, created=1).digest
    assert pack(root, created=1).digest == same
    found = {same, pack(root, created=2).digest, pack(root, created=1, labels={"a": "b"}).digest}
    (root / "a").chmod(0o755)
    found.add(pack(root, created=1).digest)
    (root / "a").write_text("2")
    found.add(pack(root, created=1).digest)
    assert len(found) == 5


def test_a_stage_inherits_from_the_one_it_is_built_on(make: Build, tmp_path: Path) -> None:
    image = make(
        "FROM a AS base\nWORKDIR /app\nENV A=1\nLABEL l=1\nEXPOSE 80\nCMD ['x']\nCOPY src/a.py .\n"
        'FROM base\nRUN test -f a.py && echo "$A" > made\nENTRYPOINT ["e"]\n'
    )
    assert names(image) == ["app/a.py", "app/made"]
    assert (image.root / "app/made").read_text() == "1\n"
    assert (dict(image.env), dict(image.labels), image.port) == ({"A": "1"}, {"l": "1"}, 80)
    assert (image.entrypoint, image.command) == (("e",), ())
    assert len(list((tmp_path / "store/trees").iterdir())) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM a\nADD x /x\n", "Dockerfile:2: the instruction ADD is not supported"),
        ("FROM a\nHEALTHCHECK NONE\n", "HEALTHCHECK is not supported"),
        ("RUN true\n", "no FROM"),
        ("RUN true\nFROM a\n", "Dockerfile:1: RUN: no build stage"),
        ("FROM a\nRUN\n", "RUN: requires an argument"),
        ("FROM a\n\nRUN <<EOF\n", "Dockerfile:3: RUN: here-documents"),
        ("FROM a\nRUN --mount=type=cache,target=/x true\n", "--mount is not supported"),
        ("# escape=`\nFROM a\n", "only the backslash"),
        ("FROM a b\n", "requires either one or three arguments"),
        ("FROM a\nCOPY one\n", "requires at least two arguments"),
        ("FROM a\nCOPY absent /\n", '"/absent": not found'),
        ("FROM a\nCOPY ../../etc/passwd /x\n", '"/etc/passwd": not found'),
        ("FROM a\nCOPY *.none /x\n", "not found"),
        ("FROM a\nCOPY --from=ghcr.io/x/uv /uv /uv\n", "only an earlier stage"),
        ("FROM a\nCOPY --chmod=u+x start.sh /\n", "only octal modes"),
        ("FROM a\nEXPOSE web\n", "invalid port"),
        ("FROM a\nENV a=1 b\n", "'b' has no '='"),
        ("FROM a\nRUN apt-get install -y x\n", "apt-get would change the machine"),
        ("FROM a\nRUN true && useradd me\n", "useradd would change the machine"),
    ],
)
def test_what_can_not_be_built_names_its_line(make: Build, tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BuildFailed) as failed:
        make(text)
    assert said in failed.value.message
    trees = tmp_path / "store/trees"
    assert not trees.exists() or not list(trees.iterdir())


def test_a_failing_run_gives_its_output_and_exit_code(make: Build, lines: list[str]) -> None:
    with pytest.raises(BuildFailed, match=r"Dockerfile:2: RUN: The command .* non-zero code: 7 \(out; bad\)") as failed:
        make("FROM a\nRUN echo out; echo bad >&2; exit 7\n")
    assert failed.value.exit_code == 7
    assert lines[-2:] == ["out", "bad"]


def test_a_missing_dockerfile(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=r"open other: no such file"):
        build(tmp_path, dockerfile="other", store_root=tmp_path, log=print)


def test_a_cancelled_build_kills_its_command(context: Path, tmp_path: Path) -> None:
    cancel = threading.Event()

    def log(line: str) -> None:
        if line == "running":
            cancel.set()

    (context / "Dockerfile").write_text("FROM a\nRUN echo running; exec sleep 60\n")
    with pytest.raises(BuildFailed, match="RUN: the build was cancelled") as failed:
        build(context, store_root=tmp_path, log=log, cancelled=cancel.is_set)
    assert failed.value.exit_code == -9
    with pytest.raises(BuildFailed, match="FROM: the build was cancelled"):
        build(context, store_root=tmp_path, log=log, cancelled=cancel.is_set)


def test_copy_forms(make: Build) -> None:
    image = make(
        "FROM a\nWORKDIR /app\nCOPY src/*.py s*t.sh into/\nCOPY start.sh renamed\nCOPY --chmod=755 start.sh /start\n"
        'COPY ["start.sh", "src/a.py", "both/"]\nCOPY . all\nCOPY src/a.py existing/\nCOPY src/deep existing\n'
    )
    found = names(image)
    for each in ("app/into/a.py", "app/into/start.sh", "app/renamed", "start", "app/both/a.py", "app/all/.env"):
        assert each in found
    assert {"app/existing/a.py", "app/existing/b.txt"} <= set(found)
    assert (image.root / "start").stat().st_mode & 0o777 == 0o755


def test_dockerignore_is_honoured_and_the_files_own_one_comes_first(make: Build, context: Path) -> None:
    (context / ".dockerignore").write_text(".env\nDockerfile*\n.dockerignore\n**/b.txt\n")
    assert names(make("FROM a\nCOPY . .\n")) == ["src/a.py", "start.sh"]
    with pytest.raises(BuildFailed, match=r'"/.env": not found'):
        make("FROM a\nCOPY .env .\n")
    (context / "Dockerfile.dockerignore").write_text("*\n!src/a.py\n")
    assert names(make("FROM a\nCOPY . .\n")) == ["src/a.py"]


@pytest.mark.parametrize(
    ("patterns", "ignored", "kept"),
    [
        (["*.pyc"], ["a.pyc"], ["d/a.pyc"]),
        (["**/*.pyc"], ["a.pyc", "d/e/a.pyc"], ["a.py"]),
        (["node_modules/"], ["node_modules/a/b"], ["d/node_modules/a"]),
        (["/build", "# no", ""], ["build", "build/x"], ["rebuild"]),
        (["docs/**", "!docs/keep.md"], ["docs/a/b"], ["docs/keep.md"]),
        (["a?c", "[xy].txt"], ["abc", "x.txt"], ["ac", "z.txt"]),
        (["."], [], ["a"]),
    ],
)
def test_ignore_patterns(patterns: list[str], ignored: list[str], kept: list[str]) -> None:
    test = ignore(patterns)
    assert [path for path in ignored + kept if test(path)] == ignored


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$A-${A}", "1-1"),
        (r"\$A", "$A"),
        ("${B:-no $A}", "no 1"),
        ("${A:-no}", "1"),
        ("${A:+yes}${B:+no}", "yes"),
        ("$", "$"),
    ],
)
def test_expansion(text: str, found: str) -> None:
    assert expand(text, {"A": "1", "B": ""}) == found


def test_words_and_commands() -> None:
    assert words('a=\'$A\' "b $A"c d\\ e "\\"" \\$A', {"A": "1"}) == ["a=$A", "b 1c", "d e", '"', "$A"]
    assert argv('["a", "b c"]') == ("a", "b c")
    assert argv("['a']") == ("/bin/sh", "-c", "['a']")
    assert argv("[1]") == ("/bin/sh", "-c", "[1]")
    assert [(item.line, item.keyword) for item in parse("from a\n\nrun b \\\n\n c\ncmd d \\")] == [
        (1, "FROM"), (3, "RUN"), (6, "CMD"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("source /secrets/.env && x", "source ROOT/secrets/.env && x"),
        ("/app", "ROOT/app"),
        ("--dir=/app/x:/app2", "--dir=ROOT/app/x:/app2"),
        ("/start", "ROOT/start"),
        ("/bin/sh /usr", "/bin/sh /usr"),
        ("https://host/app ./app a/app $X/app", "https://host/app ./app a/app $X/app"),
    ],
)
def test_container_paths_are_placed(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "start").touch()
    (tmp_path / "usr").mkdir()
    assert place(text, tmp_path, ["/app", "/secrets/.env", "/"]) == found.replace("ROOT", str(tmp_path))


def test_the_store(tmp_path: Path) -> None:
    store = ImageStore(tmp_path / "images")
    repository = "localhost:5000/acme/web"
    images = [pack(tmp_path, created=number, labels={"n": str(number)}) for number in (2, 1)]
    store.put(repository, images[0], ["v2", "latest"])
    store.put(repository, images[1], ["v1"])
    store.put(repository, images[1], ["latest"])
    assert store.repositories() == [repository]
    assert store.images(repository) == [images[1], images[0]]
    assert store.resolve(f"{repository}:v2") == images[0]
    assert store.resolve(repository) == images[1]
    assert store.resolve(f"{repository}@{images[0].digest}") == images[0]
    assert store.resolve(f"{repository}:v2@{images[0].digest}") == images[0]
    assert store.resolve("other:v1") is None
    store.untag(repository, "v1")
    assert store.tags(repository) == {"v2": images[0].digest, "latest": images[1].digest}
    store.delete(repository, images[1].digest)
    assert store.tags(repository) == {"v2": images[0].digest}
    assert store.uploaded(repository, images[0].digest) > 0
    with pytest.raises(KeyError):
        store.delete(repository, "sha256:0")
    with pytest.raises(KeyError):
        store.untag(repository, "v9")


def test_tags_are_split_from_ports() -> None:
    assert split_tag("host:5000/a/b") == ("host:5000/a/b", "")
    assert split_tag("host:5000/a/b:c") == ("host:5000/a/b", "c")


def test_a_named_context_goes_before_a_stage_of_its_name(make: Build, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "greeting").write_text("from elsewhere")
    image = make(
        "FROM a AS extras\nRUN echo from a stage > greeting\nFROM b\nCOPY --from=Extras greeting /greeting\n",
        contexts={"extras": other},
    )
    assert (image.root / "greeting").read_text() == "from elsewhere"
