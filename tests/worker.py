"""What worker processes of the tests run: the actors, with the fake animator known. `dramatiq tests.worker`."""

from studio.providers import register

register("animator", "fake", "tests.fakes:FakeAnimator")

from actors import broker, studio  # noqa: E402 (a provider has to be known before it is chosen)

__all__ = ["broker", "studio"]
