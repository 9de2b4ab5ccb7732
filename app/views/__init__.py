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
from app.views.grow import ProfileView, ReportView, view_profile, view_report
from app.views.jobs import CaptureView, JobsView, JobView, view_capture, view_event, view_job
from app.views.links import Links
from app.views.media import ImagesView, MediaAssetView, UploadedView, UploadView, view_asset, view_upload, view_uploaded
from app.views.privacy import (
    ConsentsView,
    ExportView,
    NoticeView,
    ReceiptView,
    view_consents,
    view_export,
    view_notice,
    view_receipt,
)
from app.views.spend import SpendView, view_spend
from app.views.streams import StreamedEvent
from app.views.view import View

__all__ = [
    "AnalysisView",
    "ArtworkSummary",
    "ArtworkView",
    "CaptureView",
    "ConsentsView",
    "ExportView",
    "FilmStoryView",
    "GalleryView",
    "ImagesView",
    "JobView",
    "JobsView",
    "Links",
    "MediaAssetView",
    "NoticeView",
    "ProfileView",
    "ReceiptView",
    "ReportView",
    "SpendView",
    "StreamedEvent",
    "UploadView",
    "UploadedView",
    "View",
    "view_analysis",
    "view_artwork",
    "view_asset",
    "view_capture",
    "view_consents",
    "view_event",
    "view_export",
    "view_film_story",
    "view_gallery",
    "view_job",
    "view_notice",
    "view_profile",
    "view_receipt",
    "view_report",
    "view_spend",
    "view_upload",
    "view_uploaded",
]
