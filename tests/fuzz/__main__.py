"""Start the product, let Schemathesis at it twice, and say how it went.

The first time ids are made up, and most calls find nothing. The second time they are those of things that exist.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from app.cli.demo import sample
from app.client import Client
from app.stack import Stack
from app.stack.ports import free_port

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--schemathesis", required=True, help="the program, in an environment of its own")
    parser.add_argument("--seconds", type=int, default=90, help="how long in all")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="to repeat a run")
    asked = parser.parse_args()
    sys.exit(asyncio.run(fuzz(asked.schemathesis, seconds=asked.seconds, seed=asked.seed)))


async def fuzz(program: str, *, seconds: int, seed: int) -> int:
    """The number of runs that found something."""
    with TemporaryDirectory(prefix="huaban-fuzz-") as folder:
        # Rate limits would end the run, and have tests of their own.
        env = {**os.environ, "APP_MODE": "dev", "LOG_LEVEL": "ERROR"}
        async with Stack(Path(folder), port=free_port(), env=env, grace_s=5) as stack:
            client_id = secrets.token_urlsafe(16)
            ids = await asyncio.to_thread(make_things, stack.url, client_id)
            failed = 0
            # What the ids name has to stay there.
            for known, left_out in (({}, []), (ids, ["eraseData", "deleteArtwork"])):
                config = Path(folder) / "schemathesis.toml"
                config.write_text(configured(known), encoding="utf-8")
                arguments = [
                    "--config-file", str(config),
                    "run", f"{stack.url}/openapi.json",
                    "--header", f"X-Client-Id:{client_id}",
                    "--max-time", str(seconds // 2),
                    "--seed", str(seed),
                    "--continue-on-failure",
                    "--warnings", "off",
                    *(f"--exclude-operation-id={name}" for name in left_out),
                ]  # fmt: skip
                run = await asyncio.create_subprocess_exec(program, *arguments)
                failed += await run.wait() != 0
            return failed


def make_things(url: str, client_id: str) -> dict[str, str]:
    """What paths may name: an artwork with a job."""
    with Client(url, client_id) as client:
        work = sample()
        cover = client.upload(work.drawing, "image")
        artwork = client.post("/artworks", {"coverAssetId": cover["mediaAssetId"], "description": work.story})
        job = client.post("/generation/jobs", {"artworkId": artwork["artworkId"]})
        return {"artworkId": artwork["artworkId"], "jobId": job["jobId"], "key": cover["key"]}


def configured(known: dict[str, str]) -> str:
    """The configuration, with values for parameters."""
    base = (HERE / "schemathesis.toml").read_text(encoding="utf-8")
    values = "".join(f'{name} = "{value}"\n' for name, value in known.items())
    return f"{base}\n[parameters]\n{values}" if known else base


if __name__ == "__main__":
    main()
