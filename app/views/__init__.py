"""What callers see of the documents, one module per resource."""

from app.views.analyses import AnalysisView, view_analysis
from app.views.artworks import ArtworkSummary, ArtworkView, GalleryView, view_artwork, view_gallery
from app.views.grow import ProfileView, ReportView, view_profile, view_report
from app.views.jobs import CaptureView, JobsView, JobView, view_capture, view_event, view_job
from app.views.links import Links
from app.views.media import ImagesView, MediaAssetView, UploadedView, view_asset, view_uploaded
from app.views.view import View

__all__ = [
    "AnalysisView",
    "ArtworkSummary",
    "ArtworkView",
    "CaptureView",
    "GalleryView",
    "ImagesView",
    "JobView",
    "JobsView",
    "Links",
    "MediaAssetView",
    "ProfileView",
    "ReportView",
    "UploadedView",
    "View",
    "view_analysis",
    "view_artwork",
    "view_asset",
    "view_capture",
    "view_event",
    "view_gallery",
    "view_job",
    "view_profile",
    "view_report",
    "view_uploaded",
]
