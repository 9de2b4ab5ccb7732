"""A Dramatiq broker that keeps its queues in MongoDB.

It knows nothing of the product around it. Three lines put it to work:

    broker = MongoBroker(database=MongoClient(uri)["shop"])
    dramatiq.set_broker(broker)
    # ... declare actors, then: dramatiq your_module
"""

from broker.broker import MongoBroker
from broker.delivery import Delivery, complete_current, current_delivery, reschedule_current
from broker.documents import State
from broker.errors import LeaseLost
from broker.transaction import current_session, run_in_transaction, transaction

__all__ = [
    "Delivery",
    "LeaseLost",
    "MongoBroker",
    "State",
    "complete_current",
    "current_delivery",
    "current_session",
    "reschedule_current",
    "run_in_transaction",
    "transaction",
]
