from __future__ import annotations

from itertools import pairwise

import pytest

from studio.media import camera
from studio.media.camera import Scene

SCENE = Scene((2240, 1260), (300.0, 40.0, 1940.0, 1220.0), ((900.0, 300.0, 1300.0, 900.0), (320.0, 50.0, 600.0, 300.0)))


@pytest.mark.parametrize(("seconds", "shots"), [(3.75, 1), (8, 2), (12, 3), (17, 4), (60, 11), (180, 24)])
def test_longer_stories_get_more_shots(seconds: float, shots: int) -> None:
    assert camera.shots_for(seconds) == shots


def test_shots_overlap_by_the_crossfade_and_fill_the_story() -> None:
    shots = camera.plan(SCENE, start=1.2, end=14.0)
    assert shots[0].start == pytest.approx(1.2)
    assert shots[-1].start + shots[-1].seconds == pytest.approx(14.0)
    for before, after in pairwise(shots):
        assert before.start + before.seconds - after.start == pytest.approx(camera.CROSSFADE_S)


def test_every_view_stays_on_the_plate() -> None:
    for shot in camera.plan(SCENE, start=0.0, end=60.0):
        for tenth in range(11):
            view = shot.at(shot.start + shot.seconds * tenth / 10)
            assert view.x - view.width / 2 >= -1e-6
            assert view.x + view.width / 2 <= SCENE.plate[0] + 1e-6
            assert view.y - view.width / SCENE.aspect / 2 >= -1e-6
            assert view.y + view.width / SCENE.aspect / 2 <= SCENE.plate[1] + 1e-6


def test_the_film_ends_on_the_whole_drawing() -> None:
    shot = camera.plan(SCENE, start=0.0, end=12.0)[-1]
    assert shot.at(12.0) == SCENE.whole
