"""`python -m app.cli`, for places where the `huaban` script is not installed."""

from app.cli import main

main(prog_name="huaban")
