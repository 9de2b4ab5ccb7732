"""The simulators by the name of the provider that talks to them."""

from __future__ import annotations

from tests.providers.ark_simulator import ArkSimulator
from tests.providers.fal import FalSimulator
from tests.providers.kling import KlingSimulator
from tests.providers.node import NodeSimulator
from tests.providers.runway import RunwaySimulator
from tests.providers.simulator import Simulator

ANIMATORS: dict[str, type[Simulator]] = {
    "ark": ArkSimulator,
    "runway": RunwaySimulator,
    "kling": KlingSimulator,
    "kling-legacy": KlingSimulator,
    "pika": FalSimulator,
    "node": NodeSimulator,
}
