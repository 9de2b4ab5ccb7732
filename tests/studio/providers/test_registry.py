from __future__ import annotations

import pytest

from studio.objects import ObjectStore
from studio.providers import Providers
from studio.settings import Settings


@pytest.mark.parametrize("setting", ["video_provider", "llm_provider", "asr_provider"])
def test_an_unknown_provider_is_told_at_the_start_with_the_known_ones(setting: str) -> None:
    settings = Settings().model_copy(update={setting: ("nobody",)})
    with pytest.raises(ValueError, match=rf"{setting.upper()}=nobody is not known; choose one of: .*local"):
        Providers(settings, ObjectStore(settings))


def test_a_provider_is_made_once() -> None:
    settings = Settings().model_copy(update={"video_provider": ("local",)})
    providers = Providers(settings, ObjectStore(settings))
    assert providers.animator_named("local") is providers.animator_named("local")
