from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from av.container import InputContainer
from av.video.stream import VideoStream
from PIL import Image

from studio.errors import StudioError
from studio.media import clips
from tests.studio import made


@pytest.mark.parametrize(
    ("ending", "mime", "codec"),
    [("mp4", "video/mp4", "h264"), ("mov", "video/quicktime", "h264"), ("webm", "video/webm", "vp9")],
)
def test_a_clip_tells_what_it_is(tmp_path: Path, ending: str, mime: str, codec: str) -> None:
    facts = clips.inspect(made.clip(tmp_path / f"clip.{ending}", seconds=2))
    assert (facts.mime, facts.width, facts.height, facts.has_audio, facts.codec) == (mime, 64, 48, True, codec)
    assert facts.seconds == pytest.approx(2, abs=0.15)


def test_a_clip_without_sound_says_so(tmp_path: Path) -> None:
    assert not clips.inspect(made.clip(tmp_path / "clip.mp4", sound=False)).has_audio


def test_a_browser_recording_without_a_length_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "live.webm"
    made.run("-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=2", "-live", "1", "-f", "webm", path)
    assert clips.inspect(path).seconds == pytest.approx(2, abs=0.15)


def test_a_clip_cut_short_is_unreadable_under_the_given_symbol(tmp_path: Path) -> None:
    path = made.clip(tmp_path / "clip.mp4", seconds=3)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(StudioError) as caught:
        clips.inspect(path, unreadable="VIDEO_UNREADABLE")
    assert caught.value.symbol == "VIDEO_UNREADABLE"


def test_sound_and_pictures_are_no_clips(tmp_path: Path) -> None:
    song = made.run("-i", made.wav(tmp_path / "tone.wav", made.tone(1)), "-c:a", "aac", tmp_path / "song.m4a")
    for path in (song, made.drawing(tmp_path / "drawing.png")):
        with pytest.raises(StudioError) as caught:
            clips.inspect(path)
        assert caught.value.symbol == "KIND_MISMATCH"


def test_the_poster_is_a_frame_from_inside_the_clip(tmp_path: Path) -> None:
    path = tmp_path / "two_halves.mp4"
    made.run(
        "-f", "lavfi", "-i", "color=red:size=64x48:rate=10:duration=1",
        "-f", "lavfi", "-i", "color=blue:size=64x48:rate=10:duration=3",
        "-filter_complex", "[0][1]concat", path,
    )  # fmt: skip
    clips.poster(path, tmp_path / "poster.jpg")
    with Image.open(tmp_path / "poster.jpg") as poster:
        red, _, blue = poster.resize((1, 1)).tobytes()
    assert blue > 200 > red


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """As many entries as there were walks through the packets of a clip."""
    begun: list[object] = []
    decoding = clips._decoding

    def begin(media: InputContainer, track: VideoStream) -> Iterator[av.VideoFrame | None]:
        begun.append(track)
        return decoding(media, track)

    monkeypatch.setattr(clips, "_decoding", begin)
    return begun


def test_a_clip_is_looked_at_and_gets_its_poster_on_one_walk_through_it(tmp_path: Path, walks: list[object]) -> None:
    path = made.clip(tmp_path / "clip.mp4", seconds=3)
    facts = clips.inspect(path, still=tmp_path / "still.jpg")
    assert len(walks) == 1
    clips.poster(path, tmp_path / "poster.jpg")
    assert facts == clips.inspect(path)
    assert (tmp_path / "still.jpg").read_bytes() == (tmp_path / "poster.jpg").read_bytes()


def test_a_key_picture_that_is_shown_later_is_not_walked_to_from_the_beginning(
    tmp_path: Path, walks: list[object]
) -> None:
    """The index tells when a picture is decoded: with pictures that refer to later ones that is before it is shown."""
    path = tmp_path / "two_key_pictures.mp4"
    coding = ["-c:v", "libx264", "-bf", "2", "-g", "1000", "-force_key_frames", "2.6", "-pix_fmt", "yuv420p"]
    made.run("-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=3", *coding, path)
    assert clips.inspect(path).seconds == pytest.approx(3, abs=0.15)
    assert len(walks) == 1


def test_what_plays_to_its_middle_and_gets_no_further_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "half.mp4"
    pictures = "testsrc=size=64x48:rate=10:duration=4"
    made.run("-f", "lavfi", "-i", pictures, "-g", "1000", "-movflags", "+faststart", path)
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 3])
    with pytest.raises(StudioError, match="CLIP_UNREADABLE"):
        clips.inspect(path, still=tmp_path / "still.jpg")


def test_a_clip_is_not_decoded_for_long_to_reach_a_picture_far_from_a_key_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one_key_picture.mp4"
    made.run(
        "-f", "lavfi", "-i", "color=red:size=64x48:rate=10:duration=1",
        "-f", "lavfi", "-i", "color=blue:size=64x48:rate=10:duration=3",
        "-filter_complex", "[0][1]concat", "-g", "1000", "-sc_threshold", "0", path,
    )  # fmt: skip
    monkeypatch.setattr(clips, "LOOK_S", 0.0)

    assert clips.inspect(path).seconds == pytest.approx(4, abs=0.15)
    clips.poster(path, tmp_path / "poster.jpg")
    with Image.open(tmp_path / "poster.jpg") as poster:
        red, _, blue = poster.resize((1, 1)).tobytes()
    assert red > 200 > blue


def test_a_clip_without_a_key_picture_is_not_decoded_to_its_end_in_search_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seventy kilobytes of such pictures hold half a minute's work, and a film may have as many megabytes."""
    whole, path = tmp_path / "whole.mp4", tmp_path / "no_key_picture.mp4"
    made.run("-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=3", "-g", "1000", "-bf", "0", whole)
    with av.open(str(whole)) as media, av.open(str(path), "w") as film:
        track = media.streams.video[0]
        shown = film.add_stream_from_template(track)
        for packet in media.demux(track):
            if packet.dts and not packet.is_keyframe:
                packet.stream = shown
                film.mux(packet)
    decoded: list[object] = []
    decoding = clips._decoding

    def counted(media: InputContainer, track: VideoStream) -> Iterator[av.VideoFrame | None]:
        for frame in decoding(media, track):
            decoded.append(frame)
            yield frame

    monkeypatch.setattr(clips, "_decoding", counted)
    monkeypatch.setattr(clips, "NOTHING_S", 0.0)
    with pytest.raises(StudioError, match="CLIP_UNREADABLE"):
        clips.inspect(path)
    assert decoded == [None]


def test_a_clip_of_larger_pictures_than_cameras_take_is_refused_before_one_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = made.clip(tmp_path / "clip.mp4")
    monkeypatch.setattr(clips, "MAX_PIXELS", 64 * 48 - 1)
    for look in (clips.inspect, lambda path: clips.poster(path, tmp_path / "poster.jpg")):
        with pytest.raises(StudioError) as caught:
            look(clip)
        assert (caught.value.symbol, caught.value.params["pixels"]) == ("VIDEO_TOO_LARGE", 64 * 48)


def test_a_poster_is_no_larger_than_a_page_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "POSTER_SIDE", 32)
    clips.poster(made.clip(tmp_path / "clip.mp4"), tmp_path / "poster.jpg")
    with Image.open(tmp_path / "poster.jpg") as poster:
        assert poster.size == (32, 24)
