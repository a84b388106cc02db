"""Entry point of the zipapp and of ``python -m holdfast``."""

from __future__ import annotations

import sys

from .cli import main

sys.exit(main())
