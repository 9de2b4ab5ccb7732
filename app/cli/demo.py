"""`huaban demo`: a drawing and a spoken story become a film, through the public API and nothing else."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import rich_click as click
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from app import samples
from app.cli.lines import complain, console, errors, part_line
from app.cli.pictures import draw_analysis, draw_frames
from app.client import Client, Json, Refused
from app.stack import Stack, StackError
from studio.language import Language, Text

STEP_NAMES = {
    "transcribe": Text("听故事", "Hear the story"),
    "refine_text": Text("整理文字", "Tidy the words"),
    "submit_video": Text("请求动画", "Ask for the film"),
    "poll_video": Text("制作动画", "Make the film"),
    "capture_video": Text("收进画廊", "Hang it in the gallery"),
    "analyze": Text("读懂这幅画", "Read the drawing"),
}
DONE = Text("完成：{title}", "Done: {title}")
FILM = Text("影片", "Film")
READING = Text("解读", "Reading")
FRAMES = Text("画面", "Frames")
GALLERY = Text("画廊", "Gallery")
KEPT = Text(
    "已保存在 {data}。再看一次：先 make run，再打开 {url}/#/client/{client_id}",
    "Kept in {data}. To see it again: make run, then open {url}/#/client/{client_id}",
)

SAMPLES = Path(samples.__file__).parent
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--drawing", type=FILE, envvar="DRAWING", help="A picture of a drawing: JPEG, PNG or WebP.")
@click.option("--audio", type=FILE, envvar="AUDIO", help="The story as it was told.")
@click.option("--story", envvar="STORY", help="The story as it is typed.")
@click.option("--title", envvar="TITLE", help="The title on the film's first card.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=".huaban",
    show_default=True,
    envvar="HUABAN_DATA",
    help="Folder for database, files, keys and logs.",
)
@click.option("--port", default=8080, show_default=True, envvar="PORT", help="Port of the web page.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=".", help="Where the results are saved."
)
def demo(
    *, drawing: Path | None, audio: Path | None, story: str | None, title: str | None, data: Path, port: int, out: Path
) -> None:
    """Make a film of a drawing and a spoken story.

    Without options it takes the sample that comes with HuaBan. It starts everything, talks to the public API like any
    client, saves demo.mp4, demo-analysis.png and demo-frames.png, and stops everything again.
    """
    if not (drawing or audio or story or title):
        work = sample()
    else:
        work = Work(drawing or SAMPLES / "drawing.png", audio, story or "", title or "")
    try:
        asyncio.run(_with_stack(Stack(data, port=port, say=part_line), work, out))
    except StackError as error:
        complain(error)
        sys.exit(1)
    except (Refused, TimeoutError) as error:
        errors.print(f"[bold red]{escape(str(error))}[/]")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


@dataclass(frozen=True, slots=True)
class Work:
    """What the demo is made of."""

    drawing: Path
    audio: Path | None
    story: str
    title: str


def sample() -> Work:
    """The drawing and the story that come with HuaBan."""
    story, title = ((SAMPLES / name).read_text(encoding="utf-8").strip() for name in ("story.txt", "title.txt"))
    return Work(SAMPLES / "drawing.png", SAMPLES / "story.ogg", story, title)


async def _with_stack(stack: Stack, work: Work, out: Path) -> None:
    async with stack:
        await asyncio.to_thread(make_film, stack.url, _client_id(stack.data), work, out, stack.data)


def make_film(url: str, client_id: str, work: Work, out: Path, data: Path) -> None:
    """Send the work to a deployment, watch its job, and save what came of it. Raises Refused when it fails."""
    language = _language()
    with Client(url, client_id, language=language) as client, TemporaryDirectory(prefix="huaban-") as folder:
        client.post("/init")
        cover = client.upload(work.drawing, "image")
        voice = client.upload(work.audio, "audio") if work.audio else None
        artwork = client.post(
            "/artworks",
            {
                "title": work.title,
                "description": work.story,
                "coverAssetId": cover["mediaAssetId"],
                "audioAssetId": voice["mediaAssetId"] if voice else None,
            },
        )
        job = client.post("/generation/jobs", {"artworkId": artwork["artworkId"]})
        with _bars(job, language) as show:
            for event in client.watch(job["jobId"]):
                show(event)
        job = client.get(f"/generation/jobs/{job['jobId']}")
        if job["error"]:
            raise Refused(job["error"])
        shown = client.get(f"/artworks/{artwork['artworkId']}")
        reading = client.get(f"/ai/analyses/{artwork['artworkId']}")
        out.mkdir(parents=True, exist_ok=True)
        film, picture = out / "demo.mp4", Path(folder) / "drawing"
        client.download(shown["videoUrl"], film)
        client.download(shown["coverUrl"], picture)
        draw_analysis(picture, reading, out / "demo-analysis.png")
        draw_frames(film, out / "demo-frames.png", count=5)
        entry = next(item for item in client.get("/gallery")["items"] if item["artworkId"] == shown["artworkId"])
    _tell(entry, reading, out, language)
    console.print(KEPT.in_(language).format(data=escape(str(data)), url=url, client_id=client_id))


@contextmanager
def _bars(job: Json, language: Language) -> Iterator[Callable[[Json], None]]:
    """One bar per step, moved by the job's events; one line per finished step where nobody watches a terminal."""
    columns = (TextColumn("{task.description:<24}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        bars = {
            step["name"]: progress.add_task(STEP_NAMES[step["name"]].in_(language), total=100, start=False)
            for step in job["steps"]
        }
        order = list(bars)

        def show(event: Json) -> None:
            position = order.index(event["step"])
            for name in order[:position] if event["status"] != "succeeded" else order:
                progress.start_task(bars[name])
                progress.update(bars[name], completed=100)
                progress.stop_task(bars[name])
            if event["status"] == "running":
                progress.start_task(bars[event["step"]])
                progress.update(bars[event["step"]], completed=event["stepProgress"])

        yield show


def _tell(entry: Json, reading: Json, out: Path, language: Language) -> None:
    console.print(f"\n[bold green]{DONE.in_(language).format(title=escape(entry['title'] or '-'))}[/]")
    console.print(escape(reading["summary"]) + "\n")
    for label, name in ((FILM, "demo.mp4"), (READING, "demo-analysis.png"), (FRAMES, "demo-frames.png")):
        console.print(f"{label.in_(language):<8} {escape(str((out / name).resolve()))}")
    line = f"{entry['artworkId']}  {entry['status']}  {entry['duration']:.1f} s  {entry['createdAt']}"
    console.print(f"{GALLERY.in_(language):<8} {escape(line)}")


def _client_id(data: Path) -> str:
    """The demo's own client id, kept so that all demos of one folder hang in one gallery."""
    path = data / "demo-client"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(16))
    return path.read_text()


def _language() -> Language:
    return "zh" if os.environ.get("LC_ALL", os.environ.get("LANG", "")).startswith("zh") else "en"
