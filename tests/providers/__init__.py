"""Simulators: one small HTTP server per service, speaking its documented wire format, with faults on demand."""
