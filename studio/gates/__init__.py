"""What stands before a provider: how fast it may be asked, whether it is there, and how much of it is in use."""

from studio.gates.gate import Gate, Place
from studio.gates.gates import Gates
from studio.gates.slots import Slot, Slots, Waiter

__all__ = ["Gate", "Gates", "Place", "Slot", "Slots", "Waiter"]
