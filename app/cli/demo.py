"""`huaban demo`: a drawing and a spoken story become a film, through the public API and nothing else."""

from __future__ import annotations

import asyncio
import secrets
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import rich_click as click
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from app import samples
from app.cli.lines import complaints, console, errors, language, part_line
from app.cli.pictures import draw_analysis, draw_frames
from app.cli.reading import DATA, data_folder, read_settings
from app.cli.stopping import asked_to_stop, first_of, started
from app.client import Client, Json, Refused
from app.stack import Stack
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
MADE_BY = Text("由 {maker} 制作", "made by {maker}")
FILM = Text("影片", "Film")
READING = Text("解读", "Reading")
FRAMES = Text("画面", "Frames")
GALLERY = Text("画廊", "Gallery")
KEPT = Text(
    "已保存在 {data}。再看一次：先 {run}，再打开 http://localhost:{port}/#/client/{client_id}",
    "Kept in {data}. To see it again: {run}, then open http://localhost:{port}/#/client/{client_id}",
)
NO_STORY = Text("这幅画还没有故事。", "This drawing has no story yet.")
STORY_CURE = Text(
    "用 STORY= 写下故事，或用 AUDIO= 给出录音（也可以是 --story、--audio）。",
    "Type one with STORY=, or give a recording with AUDIO= (or --story, --audio).",
)

SAMPLES = Path(samples.__file__).parent
PORT = 8080
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--drawing", type=FILE, envvar="DRAWING", help="A picture of a drawing: JPEG, PNG or WebP.")
@click.option("--audio", type=FILE, envvar="AUDIO", help="The story as it was told.")
@click.option("--story", envvar="STORY", help="The story as it is typed.")
@click.option("--title", envvar="TITLE", help="The title on the film's first card.")
@data_folder("Folder for database, files, keys and logs.")
@click.option("--port", default=PORT, show_default=True, envvar="PORT", help="Port of the web page.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=".", help="Where the results are saved."
)
def demo(
    *, drawing: Path | None, audio: Path | None, story: str | None, title: str | None, data: Path, port: int, out: Path
) -> None:
    """Make a film of a drawing and a spoken story.

    Without options it takes the sample that comes with HuaBan; a drawing of your own needs a story, typed or recorded.
    It starts everything, talks to the public API like any
    client, saves demo.mp4, demo-analysis.png and demo-frames.png, and stops everything again.
    """
    work = work_of(drawing, audio, (story or "").strip(), (title or "").strip())
    if work is None:
        errors.print(f"[bold red]{escape(NO_STORY.in_(language()))}[/]\n{escape(STORY_CURE.in_(language()))}")
        sys.exit(2)
    try:
        with complaints():
            read_settings()
            asyncio.run(_with_stack(Stack(data, port=port, say=part_line), work, out))
    except (Refused, TimeoutError) as error:
        errors.print(f"[bold red]{escape(str(error))}[/]")
        sys.exit(1)
    except Stopped as stopped:
        sys.exit(128 + stopped.signal)
    kept = KEPT.in_(language())
    console.print(escape(kept.format(data=data, run=_run_again(data, port), port=port, client_id=_client_id(data))))


class Stopped(Exception):
    """The demo was asked to stop before its film was there."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.signal = number


@dataclass(frozen=True, slots=True)
class Work:
    """What the demo is made of."""

    drawing: Path
    audio: Path | None
    story: str
    title: str


def work_of(drawing: Path | None, audio: Path | None, story: str, title: str) -> Work | None:
    """What was given, with the sample in place of what was not; None when a drawing of one's own has no story.

    The sample's story tells of the sample's drawing, so it goes with no other.
    """
    if audio or story:
        return Work(drawing or SAMPLES / "drawing.png", audio, story, title)
    if drawing:
        return None
    return replace(sample(), title=title) if title else sample()


def sample() -> Work:
    """The drawing and the story that come with HuaBan."""
    story, title = ((SAMPLES / name).read_text(encoding="utf-8").strip() for name in ("story.txt", "title.txt"))
    return Work(SAMPLES / "drawing.png", SAMPLES / "story.ogg", story, title)


async def _with_stack(stack: Stack, work: Work, out: Path) -> None:
    """Start the stack, make the film, stop the stack. Raises Stopped as soon as a signal asks for it."""
    asked = asked_to_stop(stack)
    # At once, unlike `huaban run`: nobody waits for the running step any more.
    asked.add_done_callback(lambda _asked: stack.hurry())
    if not await started(stack, unless=asked):
        raise Stopped(asked.result())
    try:
        with Client(stack.url, _client_id(stack.data), language=language()) as client:
            making = asyncio.create_task(asyncio.to_thread(make_film, client, work, out))
            await first_of(making, asked)
            if not making.done():
                client.give_up()
                await stack.stop()
                # The web process is gone, so whatever the thread asks of it fails; then it is done, too.
                await asyncio.gather(making, return_exceptions=True)
                raise Stopped(asked.result())
            await making
    finally:
        await stack.stop()


def make_film(client: Client, work: Work, out: Path) -> None:
    """Send the work to a deployment, watch its job, and save what came of it. Raises Refused when it fails."""
    client.post("/init")
    cover = client.upload(work.drawing, "image")
    voice = client.upload(work.audio, "audio", artwork_id=cover["artworkId"]) if work.audio else None
    artwork = client.post(
        "/artworks",
        {
            "title": work.title,
            "description": work.story,
            "coverAssetId": cover["mediaAssetId"],
            "audioAssetId": voice["mediaAssetId"] if voice else None,
        },
    )
    _watch(client, client.post("/generation/jobs", {"artworkId": artwork["artworkId"]}))
    _save(client, artwork["artworkId"], out)


def _watch(client: Client, job: Json) -> None:
    """Show the job's steps up to its end. Raises Refused when it fails."""
    with _bars(job, language()) as show:
        for event in client.watch(job["jobId"]):
            show(event)
    job = client.get(f"/generation/jobs/{job['jobId']}")
    if job["error"]:
        raise Refused(job["error"])


def _save(client: Client, artwork_id: str, out: Path) -> None:
    """Fetch the film and the reading, draw the two pictures, and tell where they are."""
    shown = client.get(f"/artworks/{artwork_id}")
    reading = client.get(f"/ai/analyses/{artwork_id}")
    out.mkdir(parents=True, exist_ok=True)
    film = out / "demo.mp4"
    client.download(shown["videoUrl"], film)
    with TemporaryDirectory(prefix="huaban-") as folder:
        picture = Path(folder) / "drawing"
        client.download(shown["coverUrl"], picture)
        draw_analysis(picture, reading, out / "demo-analysis.png")
    draw_frames(film, out / "demo-frames.png", count=5)
    entry = next(item for item in client.get("/gallery")["items"] if item["artworkId"] == artwork_id)
    _tell(entry, shown["versions"][0], reading, out, language())


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


def _tell(entry: Json, film: Json, reading: Json, out: Path, language: Language) -> None:
    made_by = MADE_BY.in_(language).format(maker=" · ".join(filter(None, (film["provider"], film["model"]))))
    title = escape(entry["title"] or "-")
    console.print(f"\n[bold green]{DONE.in_(language).format(title=title)}[/] ({escape(made_by)})")
    console.print(escape(reading["summary"]) + "\n")
    for label, name in ((FILM, "demo.mp4"), (READING, "demo-analysis.png"), (FRAMES, "demo-frames.png")):
        console.print(f"{label.in_(language):<8} {escape(str((out / name).resolve()))}")
    line = f"{entry['artworkId']}  {entry['status']}  {entry['duration']:.1f} s  {entry['createdAt']}"
    console.print(f"{GALLERY.in_(language):<8} {escape(line)}")


def _run_again(data: Path, port: int) -> str:
    """The command that serves this folder at the port that was wanted. The demo's own port may have been another."""
    options = [f"PORT={port}"] if port != PORT else []
    if data != Path(DATA):
        options.append(f"HUABAN_DATA={shlex.quote(str(data))}")
    return " ".join(["make run", *options])


def _client_id(data: Path) -> str:
    """The demo's own client id, kept so that all demos of one folder hang in one gallery."""
    path = data / "demo-client"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(16))
    return path.read_text()
