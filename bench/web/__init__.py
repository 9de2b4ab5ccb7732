"""One web process: its answers beside those of a minimal Express server, its watchers, and very long galleries."""

from bench.web.bench import PARTS, Wishes, measure
from bench.web.tools import install

__all__ = ["PARTS", "Wishes", "install", "measure"]
