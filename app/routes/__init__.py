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
from app.routes.gallery import list_gallery
from app.routes.generation import create_job, get_job, retry_job, stream_job_events
from app.routes.health import healthz
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
from app.routes.media import commit_media, presign_upload, read_media
from app.routes.page import get_page_file, show_page

ROUTES = [
    init,
    presign_upload,
    commit_media,
    read_media,
    create_artwork,
    get_artwork,
    edit_artwork,
    delete_artwork,
    restore_artwork,
    regenerate_artwork,
    list_gallery,
    create_job,
    get_job,
    retry_job,
    stream_job_events,
    get_analysis,
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
