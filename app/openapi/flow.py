"""One way through the whole API, which the Postman collection takes: every operation once, in an order that works."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Step:
    """One call, and what it has to bring."""

    operation: str
    """Its operationId."""
    status: int = 200
    or_status: int | None = None
    """Another one that is as good, and the first one's description fits."""
    body: dict[str, Any] = field(default_factory=dict)
    """Fields in place of those of the example; None takes one away."""
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    saves: dict[str, str] = field(default_factory=dict)
    """Variables for later steps, each with where it is in the answer."""
    again_while: str = ""
    """JavaScript of the answer: while it is true, the call is made again after a second."""
    url: str = ""
    """In place of the operation's own address: one that an answer gave."""


UPLOAD = "Put the drawing into the bucket 上传画"
"""The one call that goes to the object store, after `presignUpload`."""

FLOW = [
    Step("init"),
    Step("createTicket", 201),
    Step(
        "presignUpload",
        201,
        body={"size": "{{drawingSize}}"},
        saves={"key": "key", "artworkId": "artworkId", "uploadUrl": "url"},
    ),
    Step(
        "commitMedia",
        201,
        body={"size": "{{drawingSize}}"},
        saves={"coverAssetId": "mediaAssetId", "imageKey": "key", "mediaUrl": "url"},
    ),
    Step("readMedia", url="{{mediaUrl}}"),
    Step("uploadFile", 201),
    Step("listImages", query={"limit": "10"}),
    Step("createArtwork", 201, body={"artworkId": "{{artworkId}}", "audioAssetId": None}),
    Step("createJob", 202, saves={"jobId": "jobId"}),
    Step("getJob", again_while="['queued', 'running'].includes(answer.status)"),
    Step("streamJobEvents"),
    Step("retryJob", 409),
    Step("resolveJob", 409),
    Step("captureJob"),
    Step("listJobs", query={"status": "succeeded"}),
    # Without the header it is a stream, which has no end.
    Step("getEvents", query={"since": "0"}, headers={"Accept": "application/json"}),
    Step("getArtwork", saves={"videoKey": "videoKey"}),
    Step("getArtworkOfFilm", query={"key": "{{videoKey}}"}),
    Step("getAnalysis"),
    Step("listGallery", query={"limit": "20"}),
    Step("createArtworkOfKey", 201),
    Step("presignAudio", 201, saves={"audioKey": "key"}),
    # Nothing was uploaded there.
    Step("commitAudio", 404),
    Step("transcribeArtwork", 202),
    Step("refineArtwork", 202),
    Step("generateArtwork", 202, saves={"jobId": "jobId"}),
    Step("regenerateArtwork", 202, body={"text": None}),
    Step("createJobOfKey", 202, body={"key": "{{imageKey}}", "text": None}),
    Step("cancelJob", 202),
    Step("editArtwork"),
    Step("changeProfile"),
    Step("getProfile"),
    Step("getReport", query={"period": "week", "range": "1", "tz": "Asia/Shanghai"}),
    Step("getReportPicture"),
    Step("getReportDocument"),
    Step("getSpend", query={"days": "7"}),
    Step("getPrivacyNotice", saves={"noticeVersion": "version"}),
    Step("updateConsents"),
    Step("getConsents"),
    Step("startExport", 202),
    Step("getExport", or_status=202, again_while="answer.status === 'preparing'"),
    Step("deleteArtwork", 204),
    Step("restoreArtwork"),
    # Who calls here is a service that has a secret.
    Step("completeTask", 503),
    Step("receiveCallback", 401, url="{{baseUrl}}/api/webhook/ark/no-such-token"),
    Step("healthz"),
    Step("getMetrics"),
    Step("eraseData", 202, saves={"receiptId": "receiptId"}),
    Step("getReceipt", again_while="answer.status === 'erasing'"),
]
