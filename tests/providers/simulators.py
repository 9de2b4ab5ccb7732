"""The simulators by the name of the provider that talks to them."""

from __future__ import annotations

from tests.providers.ark_simulator import ArkSimulator
from tests.providers.simulator import Simulator

ANIMATORS: dict[str, type[Simulator]] = {"ark": ArkSimulator}
