"""`make contract`: the official clients of the services talk to our simulators.

A simulator is written from the same notes as the adapter that is tested on it, and both could be wrong in the same way.
The services' own clients were not written by us: what they can send and read is what is spoken on the wire.
"""
