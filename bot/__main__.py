"""``python -I -m bot``. Isolated mode matters: a workspace's own ``bot/`` or ``PYTHONPATH`` would win otherwise."""

from __future__ import annotations

import sys

from bot.cli import main

if __name__ == "__main__":
    sys.exit(main())
