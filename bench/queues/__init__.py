"""The queue beside other queues: the same work through each broker, on a fresh server on loopback."""

from bench.queues.bench import PARTS, Wishes, measure
from bench.queues.brokers import KINDS, install

__all__ = ["KINDS", "PARTS", "Wishes", "install", "measure"]
