"""The routes of plan 000, one module per resource."""

from app.routes.analyses import get_analysis
from app.routes.artworks import (
    create_artwork,
    delete_artwork,
    edit_artwork,
    get_artwork,
    regenerate_artwork,
    restore_artwork,
)
from app.routes.events import get_events, watch_events
from app.routes.gallery import list_gallery
from app.routes.generation import cancel_job, capture_job, create_job, get_job, list_jobs, retry_job, stream_job_events
from app.routes.grow import change_profile, get_profile, get_report, get_report_document, get_report_picture
from app.routes.health import healthz
from app.routes.images import list_images
from app.routes.init import init
from app.routes.lineage import (
    commit_audio,
    create_artwork_of_key,
    create_job_of_key,
    generate_artwork,
    get_artwork_of_film,
    presign_audio,
    refine_artwork,
    transcribe_artwork,
)
from app.routes.media import commit_media, presign_upload, read_media, upload_file
from app.routes.page import get_page_file, show_page

ROUTES = [
    init,
    presign_upload,
    commit_media,
    upload_file,
    read_media,
    list_images,
    create_artwork,
    get_artwork,
    edit_artwork,
    delete_artwork,
    restore_artwork,
    regenerate_artwork,
    list_gallery,
    create_job,
    list_jobs,
    get_job,
    retry_job,
    cancel_job,
    capture_job,
    stream_job_events,
    get_events,
    watch_events,
    get_analysis,
    get_profile,
    change_profile,
    get_report,
    get_report_picture,
    get_report_document,
    create_artwork_of_key,
    presign_audio,
    commit_audio,
    transcribe_artwork,
    refine_artwork,
    generate_artwork,
    get_artwork_of_film,
    create_job_of_key,
    healthz,
    show_page,
    get_page_file,
]

__all__ = ["ROUTES"]
