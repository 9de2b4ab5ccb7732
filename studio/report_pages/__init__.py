"""How a report looks: as one picture, and in print."""

from studio.report_pages.document import Pictures, print_
from studio.report_pages.picture import draw
from studio.report_pages.pictures import fetch

__all__ = ["Pictures", "draw", "fetch", "print_"]
