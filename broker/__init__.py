"""A Dramatiq broker that keeps its queues in MongoDB.

It knows nothing of the product around it. Three lines put it to work:

    broker = MongoBroker(database=MongoClient(uri)["shop"])
    dramatiq.set_broker(broker)
    # ... declare actors, then: dramatiq your_module
"""

from broker.broker import MongoBroker
from broker.composition import group
from broker.dead_letters import DeadLetter, Retried, count_dead, get_dead, list_dead, purge_dead, retry_dead
from broker.delivery import Delivery, complete_current, current_delivery, reschedule_current
from broker.documents import State
from broker.errors import Canceled, InvalidUniqueKey, LeaseLost, MessageTooLarge, NoTransactions
from broker.limits import MongoRateLimiterBackend
from broker.lookout import Paused
from broker.middleware import Cancellation, CurrentTransaction, UniqueKeys
from broker.results import MongoResultBackend, ResultTooLarge
from broker.schedules import Schedule, Schedules, ScheduleState, list_schedules
from broker.stats import QueueStats, age_of_oldest_ready_s, first_in_line, has_busy_worker, queue_stats
from broker.transaction import current_session, run_in_transaction, transaction

__all__ = [
    "Canceled",
    "Cancellation",
    "CurrentTransaction",
    "DeadLetter",
    "Delivery",
    "InvalidUniqueKey",
    "LeaseLost",
    "MessageTooLarge",
    "MongoBroker",
    "MongoRateLimiterBackend",
    "MongoResultBackend",
    "NoTransactions",
    "Paused",
    "QueueStats",
    "ResultTooLarge",
    "Retried",
    "Schedule",
    "ScheduleState",
    "Schedules",
    "State",
    "UniqueKeys",
    "age_of_oldest_ready_s",
    "complete_current",
    "count_dead",
    "current_delivery",
    "current_session",
    "first_in_line",
    "get_dead",
    "group",
    "has_busy_worker",
    "list_dead",
    "list_schedules",
    "purge_dead",
    "queue_stats",
    "reschedule_current",
    "retry_dead",
    "run_in_transaction",
    "transaction",
]
