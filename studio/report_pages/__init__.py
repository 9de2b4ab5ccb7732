"""How a report looks: as one picture, and in print."""

from studio.report_pages.document import print_
from studio.report_pages.picture import draw

__all__ = ["draw", "print_"]
