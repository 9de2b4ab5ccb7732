from __future__ import annotations

import pytest

from studio.archive import path_of


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("clients/me/artworks/A/original/v1/sun.png", "media/A/original/v1/sun.png"),
        ("clients/you/artworks/A/original/v1/sun.png", "media/imported/clients/you/artworks/A/original/v1/sun.png"),
        ("public/videos/fox.mp4", "media/imported/public/videos/fox.mp4"),
        ("public/../../../etc/fox.mp4", "media/imported/public/etc/fox.mp4"),
        ("..\\..\\fox.mp4", "media/imported/fox.mp4"),
        ("//fox.mp4", "media/imported/fox.mp4"),
    ],
)
def test_no_file_of_an_archive_leaves_its_folder(key: str, path: str) -> None:
    assert path_of(key, "me") == path
