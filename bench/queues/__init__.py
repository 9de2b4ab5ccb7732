"""The queue beside other queues: the same work through each broker, on a fresh server on loopback."""

from bench.queues.bench import Wishes, measure
from bench.queues.brokers import install

__all__ = ["Wishes", "install", "measure"]
