"""Examples of bodies and answers, put together from one value per field name, so that a new route has some at once."""

from __future__ import annotations

from typing import Any

import msgspec

Json = dict[str, Any]

_ARTWORK = "Q3pZtB0mS6mJx8VwYk1R2g"
_PICTURE = "kJ7cXo2eTqS4uLh0a9nWmA"
_RECORDING = "w5RbM1yDQ0uFz3sGkP8vCg"
_TIME = "2026-11-22T09:30:00Z"
_MEDIA = "http://localhost:8080/media/clients/9w1qT0yk/artworks/Q3pZtB0mS6mJx8VwYk1R2g"

VALUES: Json = {
    # Bodies: what a caller would really send.
    "UploadCreate": {"type": "image", "mime": "image/png", "size": 482_113},
    "MediaCommit": {
        "key": f"clients/9w1qT0yk/artworks/{_ARTWORK}/upload/v1/image-{_PICTURE}.png",
        "etag": '"5d41402abc4b2a76b9719d911017c592"',
        "mime": "image/png",
        "size": 482_113,
    },
    "ArtworkCreate": {
        "title": "The fox and the balloon",
        "description": "A fox finds a red balloon.",
        "coverAssetId": _PICTURE,
        "audioAssetId": _RECORDING,
    },
    "JobCreate": {"artworkId": _ARTWORK, "kind": "video", "text": "A fox finds a red balloon."},
    "Resolution": {"decision": "ask_again"},
    "ArtworkUpdate": {"title": "The brave fox", "favourite": True},
    "Regeneration": {"text": "A fox finds two balloons."},
    "ConsentsUpdate": {"noticeVersion": "1-8f3a", "decisions": [{"purpose": "reports", "given": True}]},
    "ImageKey": {"imageKey": f"clients/9w1qT0yk/artworks/{_ARTWORK}/original/v1/{_PICTURE}.png"},
    "AudioUpload": {"mime": "audio/webm", "size": 96_400},
    "AudioKey": {"audioKey": f"clients/9w1qT0yk/artworks/{_ARTWORK}/upload/v1/audio-{_RECORDING}.webm"},
    "Heard": {"text": "A fox finds a red balloon."},
    "FilmOfKey": {
        "key": f"clients/9w1qT0yk/artworks/{_ARTWORK}/original/v1/{_PICTURE}.png",
        "text": "A fox finds a red balloon.",
    },
    "ProfileChange": {"nickname": "Mimi", "age": 6, "description": "Likes foxes."},
    "StreamedEvent": {"id": "17", "event": "job", "data": '{"status": "running", "progress": 40}'},
    # Fields of answers, by name; where a name means two things, by the name of the answer and its own.
    "analysisStatus": "ready",
    "artworkId": _ARTWORK,
    "audioUrl": f"{_MEDIA}/audio/v1/{_RECORDING}.webm?e=1795361400&s=0qPz",
    "boxes": [{"box": [0.1, 0.2, 0.3, 0.4], "label": "red area", "color": "#d03030", "share": 0.12}],
    "calls": 4,
    "SpendingView.capability": "animator",
    "capMicros": 20_000_000,
    "checks": {"mongodb": "ok", "s3": "ok", "queue": "ok"},
    "color": "#d03030",
    "coverUrl": f"{_MEDIA}/original/v1/{_PICTURE}.png?e=1795361400&s=Zk3n",
    "coverage": 0.62,
    "createdAt": _TIME,
    "activeDays": 3,
    "age": 6,
    "ageBand": "4-6",
    "artworkIds": [_ARTWORK],
    "artworks": {
        _ARTWORK: {
            "title": "The fox and the balloon",
            "thumbUrl": f"{_MEDIA}/thumb/v1/{_PICTURE}.jpg?e=1795361400&t=image/jpeg&s=P0xd",
            "createdAt": _TIME,
        }
    },
    "at": _TIME,
    "avatarAssetId": None,
    "avatarUrl": None,
    "bytes": 4_812_000,
    "count": 3,
    "currency": "CNY",
    "data": None,
    "SpendingView.day": "2026-11-22",
    "SpendingView.provider": "ark",
    "estimatedMicros": 1_250_000,
    "leftMicros": 14_500_000,
    "resetsAt": "2026-11-23T00:00:00Z",
    "settledMicros": 4_250_000,
    "spentMicros": 5_500_000,
    "uncertainMicros": 0,
    "unpricedCalls": 0,
    "date": "2026-11-22",
    "deletedAt": None,
    "description": "A fox finds a red balloon.",
    "descriptionText": "A fox finds a red balloon.",
    "documents": {"artworks": 3, "jobs": 4},
    "duration": 12.5,
    "earlier": None,
    "end": "2026-11-23T00:00:00Z",
    "enoughWorks": 3,
    "error": None,
    "etaS": 25,
    "etag": "5d41402abc4b2a76b9719d911017c592",
    "expiresAt": "2026-11-29T09:30:00Z",
    "expiresInS": 600,
    "exportId": "n8Hc2VtLr6Q0yZpXw4KbJg",
    "films": 3,
    "formMaxBytes": 10_000_000,
    "finishedAt": None,
    "firstDay": "2026-11-16",
    "headers": {"Content-Type": "image/png", "Content-Length": "482113"},
    "height": 1536,
    "jobId": "h2Wn6CqKT9i0yXb4VdRs7w",
    "key": f"clients/9w1qT0yk/artworks/{_ARTWORK}/original/v1/{_PICTURE}.png",
    "kind": "image",
    "JobView.kind": "video",
    "heading": "What is kept",
    "image_path": None,
    "image_url": None,
    "lastDay": "2026-11-22",
    "lastSeenAt": _TIME,
    "lineageStatus": "ready",
    "llmText": "A little fox finds a red balloon and lets it carry the story away.",
    "mark": "AI-generated",
    "mediaAssetId": _PICTURE,
    "method": "PUT",
    "AnalysisView.method": "Colours and areas, measured from the pixels",
    "mime": "image/png",
    "nextCursor": "MTc5NTM2MDc2MDAwMCBRM3BadEIwbVM2bUp4OFZ3WWsxUjJn",
    "nickname": "Mimi",
    "messages": 0,
    "note": None,
    "noticeVersion": "1-8f3a",
    "NoticeSectionView.name": "kept",
    "notes": ["Values describe the works and never the child."],
    "objects": 12,
    "outsideMs": 2_350,
    "paragraphs": ["Drawings, recordings and films, until you delete them."],
    "AnalysisView.palette": [{"color": "#d03030", "name": "red", "share": 0.18}],
    "phase": "generating",
    "posterUrl": f"{_MEDIA}/video/v1/h2Wn6CqKT9i0yXb4VdRs7w.jpg?e=1795361400&s=Y1aq",
    "presignExpiresS": 600,
    "progress": 40,
    "provider": "local",
    "model": None,
    "refinedText": "A little fox finds a red balloon and lets it carry the story away.",
    "received": True,
    "registeredAt": _TIME,
    "queuePosition": None,
    "receiptId": "m4Tz9RqWk2XeLs7YpB0vNA",
    "rateLimits": {"changes": {"calls": 120, "windowS": 60}},
    "restorableUntil": None,
    "sampleSize": 3,
    "scores": {"colour": {"value": 0.7, "label": "Colour", "method": "How many colours share the drawing"}},
    "size": 482_113,
    "status": "running",
    "HealthView.status": "ok",
    "ArtworkSummary.status": "ready",
    "ArtworkView.status": "ready",
    "step": "poll_video",
    "StepView.name": "poll_video",
    "state": "running",
    "start": "2026-11-16T00:00:00Z",
    "startedAt": _TIME,
    "stories": 3,
    "storyMaxCharacters": 2_000,
    "storyWords": 120,
    "summary": "Red and green fill most of the paper.",
    "AnalysisView.tags": ["colourful"],
    "ticket": "eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiJ0aWNrZXQifQ.c2lnbmF0dXJl",
    "token": None,
    "tokenExpiresAt": None,
    "text": "Red is in most of this week's drawings.",
    "timeZone": "Asia/Shanghai",
    "title": "The fox and the balloon",
    "thumbUrl": f"{_MEDIA}/thumb/v1/{_PICTURE}.jpg?e=1795361400&t=image/jpeg&s=P0xd",
    "transcript": "A fox finds a red balloon.",
    "transcriptStatus": "ready",
    "updatedAt": _TIME,
    "uploads": {"image": {"mimeTypes": ["image/jpeg", "image/png", "image/webp"], "maxBytes": 20_000_000}},
    "UploadView.key": f"clients/9w1qT0yk/artworks/{_ARTWORK}/upload/v1/image-{_PICTURE}.png",
    "UploadView.url": "http://localhost:8080/huaban-media/clients/9w1qT0yk/...?X-Amz-Signature=...",
    "url": f"{_MEDIA}/original/v1/{_PICTURE}.png?e=1795361400&s=Zk3n",
    "value": 62,
    "version": 1,
    "NoticeView.version": "1-8f3a",
    "videoKey": f"clients/9w1qT0yk/artworks/{_ARTWORK}/video/v1/h2Wn6CqKT9i0yXb4VdRs7w.mp4",
    "videoVersion": 1,
    "voiceSeconds": 95,
    "works": 3,
    "videoUrl": f"{_MEDIA}/video/v1/h2Wn6CqKT9i0yXb4VdRs7w.mp4?e=1795361400&s=Bb8c",
    "width": 2048,
    # Parameters.
    "cursor": "MTc5NTM2MDc2MDAwMCBRM3BadEIwbVM2bUp4OFZ3WWsxUjJn",
    "EventsView.items": [
        {"type": "job", "data": {"status": "running", "progress": 40}, "timestamp": _TIME, "seq": 18},
    ],
    "EventsView.since": 18,
    "label": "16-22 November 2026",
    "AbilityView.key": "colour",
    "AbilityView.label": "Colour",
    "AbilityView.method": "The mean of the readings' values",
    "InsightView.key": "favourite_colour",
    "InsightView.method": "Shares of colours in the readings",
    "ColourUseView.name": "red",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "share": 0.18,
    "tag": "colourful",
    "limit": 20,
    "since": 17,
    "q": "fox",
    "from": "2026-11-01",
    "to": "2026-11-22",
    "favourite": True,
    "deleted": False,
    "period": "week",
    "range": 1,
    "days": 30,
    "PeriodView.days": [{"date": "2026-11-22", "works": 3}],
    "tz": "Asia/Shanghai",
    "lang": "zh",
    "Last-Event-ID": 17,
    "e": "1795361400",
    "t": "image/png",
    "s": "Zk3nYp0qW8uT5vRx2mKc1g",
    "download": False,
    # Headers of answers.
    "Location": "/generation/jobs/h2Wn6CqKT9i0yXb4VdRs7w",
    "Retry-After": "5",
    "X-Request-Id": "r2VgqH9rN0uXo5m7bTzJ1Q",
}


def example_of(kind: Any) -> Any:
    """An example of a type; None stands where a field has no value here yet."""
    return _example(msgspec.inspect.type_info(kind), (), [])


def names_without_value(kind: Any) -> list[str]:
    """The fields of a type that have no value here, as "TheAnswer.theField"."""
    missing: list[str] = []
    _example(msgspec.inspect.type_info(kind), (), missing)
    return missing


def _example(info: msgspec.inspect.Type, names: tuple[str, ...], missing: list[str]) -> Any:
    """`names` are those under which a value is looked for, the most particular one first."""
    for name in names:
        if name in VALUES:
            return VALUES[name]
    match info:
        case msgspec.inspect.StructType():
            return _struct(info, missing)
        case msgspec.inspect.ListType(item_type=item):
            return [_example(item, names, missing)]
        case msgspec.inspect.UnionType(types=(inner, *_)) | msgspec.inspect.Metadata(type=inner):
            return _example(inner, names, missing)
        case _:
            return _plain(info, names, missing)


def _plain(info: msgspec.inspect.Type, names: tuple[str, ...], missing: list[str]) -> Any:
    match info:
        case msgspec.inspect.EnumType(cls=cls):
            return next(iter(cls)).value
        case msgspec.inspect.LiteralType(values=values):
            return values[0]
        case msgspec.inspect.BoolType():
            return False
        case _:
            missing += names[:1]
            return None


def _struct(info: msgspec.inspect.StructType, missing: list[str]) -> Any:
    struct = info.cls.__name__
    if struct in VALUES:
        return VALUES[struct]
    return {
        field.encode_name: _example(field.type, (f"{struct}.{field.encode_name}", field.encode_name), missing)
        for field in info.fields
    }
