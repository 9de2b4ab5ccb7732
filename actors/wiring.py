"""The studio and the broker of this process, made once from the settings."""

from __future__ import annotations

import dramatiq
from dramatiq.middleware import Retries, TimeLimit

from broker import Cancellation, MongoBroker
from studio.logs import configure_logs
from studio.settings import QUEUE_PREFIX, settings
from studio.studio import Studio

configure_logs(settings().log_level)
studio = Studio(settings())
broker = MongoBroker(
    database=studio.database,
    collection_prefix=QUEUE_PREFIX,
    # Cancellation goes last: it interrupts the actor and no other middleware.
    middleware=[TimeLimit(), Retries(), Cancellation()],
    # A step may run for a minute; what waits behind it in one process could run at once in another.
    prefetch_per_thread=1,
)
dramatiq.set_broker(broker)
