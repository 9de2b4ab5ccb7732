"""What callers see of the documents, one module per resource."""

from app.views.analyses import AnalysisView, view_analysis
from app.views.artworks import (
    ArtworkSummary,
    ArtworkView,
    FilmStoryView,
    GalleryView,
    view_artwork,
    view_film_story,
    view_gallery,
)
from app.views.jobs import JobView, view_event, view_job
from app.views.links import Links
from app.views.media import MediaAssetView, UploadView, view_asset, view_upload
from app.views.view import View

__all__ = [
    "AnalysisView",
    "ArtworkSummary",
    "ArtworkView",
    "FilmStoryView",
    "GalleryView",
    "JobView",
    "Links",
    "MediaAssetView",
    "UploadView",
    "View",
    "view_analysis",
    "view_artwork",
    "view_asset",
    "view_event",
    "view_film_story",
    "view_gallery",
    "view_job",
    "view_upload",
]
