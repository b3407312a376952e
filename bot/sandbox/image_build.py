"""A build of an image: the interpreter of a Dockerfile."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from bot.sandbox.dockerfile import BuildFailed, Instruction, argv, expand, glob_pattern, ignore, pairs, parse, words
from bot.sandbox.oci import SYSTEM_PATH, Image, interpreter_path, pack, place, walk
from bot.sandbox.processes import run_lines

# These would change the machine that runs the sandbox.
_HOST_TOOLS = re.compile(r"(?:^|[\s;&|(])(apt-get|apt|apk|dnf|yum|microdnf|dpkg|adduser|useradd|groupadd|addgroup)\s")


@dataclass(kw_only=True)
class _Stage:
    root: Path
    name: str
    workdir: str = "/"
    args: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    own_command: bool = False  # CMD was given in this stage
    port: int | None = None

    def variables(self) -> dict[str, str]:
        """ENV wins over ARG of the same name (Dockerfile reference, "Using ARG variables")."""
        return {"PATH": SYSTEM_PATH, **self.args, **self.env}

    def absolute(self, path: str) -> str:
        return os.path.normpath(PurePosixPath(self.workdir) / path)

    def real(self, path: str) -> Path:
        return self.root / self.absolute(path).lstrip("/")


def build(
    context: Path,
    *,
    dockerfile: str = "Dockerfile",
    build_args: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    contexts: Mapping[str, Path] | None = None,
    store_root: Path,
    log: Callable[[str], None],
    cancelled: Callable[[], bool] = lambda: False,
) -> Image:
    """Build an image by interpreting a Dockerfile.

    The subset: FROM (any base: its tree is empty; ``AS`` names; earlier stages), ARG, ENV, LABEL, WORKDIR, COPY
    (``--from`` an earlier stage or one of ``contexts``, ``--chmod``; ``--chown`` and ``--link`` change nothing), RUN,
    EXPOSE, USER (noted in the log), ENTRYPOINT and CMD in both forms. ``.dockerignore`` is honoured.

    RUN really runs, by ``/bin/sh -c`` in the image's tree, with the rights of whoever runs the sandbox: build only
    what you would run. This interpreter's folder is first on PATH, so ``RUN pip install -r requirements.txt``
    succeeds when the sandbox's own environment already has the requirements, and fails otherwise: pip is kept
    off the network. Tools that change the machine (apt-get, useradd and the like) are refused.

    Raises:
        BuildFailed: an unsupported instruction, a failing RUN, a missing source, or a cancelled build.
    """
    path = context / dockerfile
    if not path.is_file():
        raise BuildFailed(f"failed to read dockerfile: open {dockerfile}: no such file or directory")
    builder = _Builder(context, store_root, build_args or {}, log, cancelled, _ignored(context, dockerfile))
    builder.contexts = {name.lower(): folder.resolve() for name, folder in (contexts or {}).items()}
    try:
        stage = builder.interpret(parse(path.read_text()))
    except BaseException:
        builder.clean(keep=None)
        raise
    builder.clean(keep=stage)
    return pack(
        stage.root, workdir=stage.workdir, env=stage.env, entrypoint=stage.entrypoint, command=stage.command,
        labels={**stage.labels, **(labels or {})}, port=stage.port,
    )  # fmt: skip


def _ignored(context: Path, dockerfile: str) -> Callable[[str], bool]:
    """A ``<Dockerfile>.dockerignore`` takes precedence over the one at the root of the context."""
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        if (context / name).is_file():
            return ignore((context / name).read_text().splitlines())
    return ignore([])


class _Builder:
    def __init__(
        self,
        context: Path,
        store_root: Path,
        build_args: Mapping[str, str],
        log: Callable[[str], None],
        cancelled: Callable[[], bool],
        ignored: Callable[[str], bool],
    ) -> None:
        self.context, self.store_root, self.build_args = context.resolve(), store_root, build_args
        self.log, self.cancelled, self.ignored = log, cancelled, ignored
        self.stages: list[_Stage] = []
        self.globals: dict[str, str] = {}  # ARG before the first FROM
        self.contexts: Mapping[str, Path] = {}  # those that have a name

    def interpret(self, items: list[Instruction]) -> _Stage:
        steps: dict[str, Callable[[_Stage, Instruction], None]] = {
            "ARG": self._arg, "ENV": self._env, "LABEL": self._label, "WORKDIR": self._workdir, "COPY": self._copy,
            "RUN": self._run, "EXPOSE": self._expose, "USER": self._user, "ENTRYPOINT": self._entrypoint,
            "CMD": self._cmd,
        }  # fmt: skip
        for number, item in enumerate(items, 1):
            if self.cancelled():
                raise item.fail("the build was cancelled")
            self.log(f"Step {number}/{len(items)} : {item.keyword} {item.text}")
            if item.keyword == "FROM":
                self._from(item)
            elif not self.stages:
                if item.keyword != "ARG":
                    raise item.fail("no build stage in current context")
                self.globals.update(self._declared(item, self.globals))
            else:
                steps[item.keyword](self.stages[-1], item)
        return self.stages[-1]

    def clean(self, *, keep: _Stage | None) -> None:
        for stage in self.stages:
            if stage is not keep:
                shutil.rmtree(stage.root, ignore_errors=True)

    def _stage(self, name: str) -> _Stage | None:
        by_number = self.stages[int(name)] if name.isdigit() and int(name) < len(self.stages) else None
        return by_number or next((stage for stage in self.stages if stage.name == name.lower()), None)

    def _from(self, item: Instruction) -> None:
        parts = words(item.text, {**self.globals})
        if len(parts) not in {1, 3} or (len(parts) == 3 and parts[1].upper() != "AS"):
            raise item.fail("requires either one or three arguments")
        base = self._stage(parts[0])
        name = parts[2].lower() if len(parts) == 3 else ""
        stage = _Stage(root=self.store_root / "trees" / uuid.uuid4().hex, name=name)
        if base is not None:
            shutil.copytree(base.root, stage.root, symlinks=True)
            stage.workdir, stage.env, stage.labels = base.workdir, dict(base.env), dict(base.labels)
            stage.entrypoint, stage.command, stage.port = base.entrypoint, base.command, base.port
        else:
            stage.root.mkdir(parents=True)
        self.stages.append(stage)

    def _declared(self, item: Instruction, variables: Mapping[str, str]) -> dict[str, str]:
        out = {}
        for word in words(item.text, variables):
            name, equals, default = word.partition("=")
            if name in self.build_args:
                out[name] = self.build_args[name]
            elif equals:
                out[name] = default
            elif name in self.globals:
                out[name] = self.globals[name]
        return out

    def _arg(self, stage: _Stage, item: Instruction) -> None:
        stage.args.update(self._declared(item, stage.variables()))

    def _env(self, stage: _Stage, item: Instruction) -> None:
        stage.env.update(pairs(item, stage.variables()))

    def _label(self, stage: _Stage, item: Instruction) -> None:
        stage.labels.update(pairs(item, stage.variables()))

    def _workdir(self, stage: _Stage, item: Instruction) -> None:
        stage.workdir = stage.absolute(expand(item.text.strip("\"'"), stage.variables()))
        stage.real(".").mkdir(parents=True, exist_ok=True)

    def _expose(self, stage: _Stage, item: Instruction) -> None:
        ports = [word.partition("/")[0] for word in words(item.text, stage.variables())]
        if not all(port.isdigit() for port in ports):
            raise item.fail(f"invalid port {item.text!r}")
        stage.port = stage.port or int(ports[0])

    def _user(self, stage: _Stage, item: Instruction) -> None:
        self.log(f" ---> noted: the sandbox runs as its own user, not as {expand(item.text, stage.variables())}")

    def _entrypoint(self, stage: _Stage, item: Instruction) -> None:
        stage.entrypoint = argv(item.text)
        if not stage.own_command:  # an ENTRYPOINT resets the CMD of the base image
            stage.command = ()

    def _cmd(self, stage: _Stage, item: Instruction) -> None:
        stage.command, stage.own_command = argv(item.text), True

    # -- COPY -----------------------------------------------------------------------------------------------
    def _copy(self, stage: _Stage, item: Instruction) -> None:
        variables = stage.variables()
        parts = json.loads(item.text) if item.text.startswith("[") else words(item.text, variables)
        if len(parts) < 2:
            raise item.fail("requires at least two arguments")
        *sources, destination = parts
        base, filtered = self.context, self.ignored
        if "from" in item.flags:
            base, filtered = self._origin(item), ignore([])
        found = [path for source in sources for path in self._matches(item, base, source, filtered)]
        into = destination.endswith("/") or destination == "." or len(found) > 1
        target = stage.real(destination)
        for path in found:
            _copy_tree(path, target, into=into or target.is_dir(), base=base, ignored=filtered, mode=_mode(item))

    def _origin(self, item: Instruction) -> Path:
        """Return what is copied from: a named context goes before a stage of the same name.

        "When Dockerfile defines a stage with the same name it's overwritten" (Docker's manual, named contexts).
        """
        name = item.flags["from"]
        named, stage = self.contexts.get(name.lower()), self._stage(name)
        if named is not None:
            return named
        if stage is None:
            raise item.fail(f"--from={name}: only an earlier stage or a named context can be copied from")
        return stage.root

    def _matches(self, item: Instruction, base: Path, source: str, ignored: Callable[[str], bool]) -> list[Path]:
        wanted = os.path.normpath("/" + source).lstrip("/")
        if not wanted:
            return [base]
        if (base / wanted).exists() and not ignored(wanted):
            return [base / wanted]
        rule = re.compile(glob_pattern(wanted))
        names = [path.relative_to(base).as_posix() for path in sorted(base.rglob("*"))] if "*" in wanted else []
        if found := [base / name for name in names if rule.fullmatch(name) and not ignored(name)]:
            return found
        raise item.fail(f'"/{wanted}": not found in the context (is it in .dockerignore?)')

    # -- RUN ------------------------------------------------------------------------------------------------
    def _run(self, stage: _Stage, item: Instruction) -> None:
        if tool := _HOST_TOOLS.search(item.text):
            raise item.fail(f"{tool[1]} would change the machine that runs the sandbox; it is not supported")
        command = [place(part, stage.root, _prefixes(stage)) for part in argv(item.text)]
        tail: list[str] = []

        def line(text: str) -> None:
            tail.append(text)
            self.log(text)

        code = _execute(command, stage, line, self.cancelled)
        if self.cancelled():
            raise item.fail("the build was cancelled", code)
        if code != 0:
            last = "; ".join(tail[-3:])
            raise item.fail(
                f"The command '{item.text}' returned a non-zero code: {code}" + (f" ({last})" if last else ""), code
            )


def _prefixes(stage: _Stage) -> list[str]:
    return [] if stage.workdir == "/" else [stage.workdir]


def _mode(item: Instruction) -> int | None:
    text = item.flags.get("chmod")
    if text is None:
        return None
    if not re.fullmatch(r"[0-7]{3,4}", text):
        raise item.fail(f"--chmod={text}: only octal modes are supported by the sandbox")
    return int(text, 8)


def _copy_tree(
    path: Path, target: Path, *, into: bool, base: Path, ignored: Callable[[str], bool], mode: int | None
) -> None:
    """A directory gives its content, a file goes into ``target`` or becomes it."""
    if not path.is_dir():
        _copy_file(path, target / path.name if into else target, mode)
        return
    target.mkdir(parents=True, exist_ok=True)
    for each in walk(path):
        if not ignored(each.relative_to(base).as_posix()):
            _copy_file(each, target / each.relative_to(path), mode)


def _copy_file(source: Path, target: Path, mode: int | None) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)
    if mode is not None:
        target.chmod(mode)


def _execute(command: list[str], stage: _Stage, log: Callable[[str], None], cancelled: Callable[[], bool]) -> int:
    """Run one command in its own process group and return its exit code; a cancelled build kills the group."""
    env = {key: place(value, stage.root, _prefixes(stage)) for key, value in stage.variables().items()}
    env.update(
        PATH=interpreter_path() + (f":{stage.env['PATH']}" if "PATH" in stage.env else ""),
        HOME=str(stage.root), LANG="C.UTF-8", SANDBOX_ROOT=str(stage.root),
        # pip must not leave the machine, and a pip from elsewhere must look at this interpreter's packages.
        PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull, PIP_PYTHON=sys.executable, PIP_DISABLE_PIP_VERSION_CHECK="1",
        PIP_ROOT_USER_ACTION="ignore",
    )  # fmt: skip
    cwd = stage.real(".")
    cwd.mkdir(parents=True, exist_ok=True)
    return run_lines(command, cwd=cwd, env=env, log=log, stopped=cancelled)
