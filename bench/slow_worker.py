"""The actors with the slow provider known: `dramatiq bench.slow_worker`."""

from studio.providers import register

register("animator", "slow", "bench.slow_animator:SlowAnimator")

from actors import broker, studio  # noqa: E402 (a provider has to be known before it is chosen)

__all__ = ["broker", "studio"]
