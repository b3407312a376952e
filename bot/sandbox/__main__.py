"""``python -I -m bot.sandbox``: what ``slipway demo`` runs."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from bot.sandbox.demo import demo
from bot.sandbox.scenarios import SCENARIOS


def main(argv: Sequence[str] | None = None) -> int:
    """Play scenarios; 0 when each reached its expected end state, 1 when one did not, 2 for wrong arguments.

    130 when it was interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="slipway demo", description="Runs a release on this machine, without any account, and shows it."
    )
    parser.add_argument("--list", action="store_true", help="list the scenarios")
    parser.add_argument("--scenario", default="success", metavar="NAME", help="which one to run, or all")
    parser.add_argument("--json", action="store_true", help="print the end state as JSON, and nothing else")
    parser.add_argument("--plain", action="store_true", help="print a line for each change instead of redrawing")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the world's files in this folder")
    arguments = parser.parse_args(argv)
    if arguments.list:
        width = max(map(len, SCENARIOS))
        for scenario in SCENARIOS.values():
            print(f"{scenario.name:{width}}  {scenario.summary}")  # noqa: T201
        return 0
    name = arguments.scenario.replace("_", "-")
    if name != "all" and name not in SCENARIOS:
        near = difflib.get_close_matches(name, SCENARIOS, n=1)
        parser.error(f"there is no scenario {name!r}" + (f"; did you mean {near[0]!r}?" if near else "; see --list"))
    if arguments.keep is not None and any(
        (arguments.keep / each).exists() for each in ([name] if name != "all" else SCENARIOS)
    ):
        parser.error(f"{arguments.keep} holds a world already")
    chosen = list(SCENARIOS.values()) if name == "all" else [SCENARIOS[name]]
    try:
        reached = demo(chosen, as_json=arguments.json, lines=arguments.plain, keep=arguments.keep)
    except KeyboardInterrupt:
        return 130
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
