"""What a job of each kind does, step by step. A plan is data; an actor of the same name does each step."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from studio.artworks import Artwork
from studio.providers.interfaces import Capability


class JobKind(StrEnum):
    VIDEO = "video"
    ANALYSIS = "analysis"
    STORY = "story"
    """What a film begins with, for those who want to read the story before they ask for one."""


class Phase(StrEnum):
    """How plan 000 names where a job is."""

    QUEUED = "queued"
    GENERATING = "generating"
    COMPOSITING = "compositing"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Step:
    """`share` is the step's part of a job's progress, in percent of a plan in which every step runs.

    `needs` is the capability that it asks of a provider.
    """

    name: str
    share: int
    needs: Capability
    phase: Phase = Phase.GENERATING


TRANSCRIBE = Step("transcribe", 5, Capability.TRANSCRIBER)
REFINE_TEXT = Step("refine_text", 5, Capability.WRITER)
SUBMIT_VIDEO = Step("submit_video", 5, Capability.ANIMATOR)
POLL_VIDEO = Step("poll_video", 65, Capability.ANIMATOR)
CAPTURE_VIDEO = Step("capture_video", 10, Capability.ANIMATOR, Phase.COMPOSITING)
ANALYZE = Step("analyze", 10, Capability.SEER, Phase.COMPOSITING)

PLANS: dict[JobKind, tuple[Step, ...]] = {
    JobKind.VIDEO: (TRANSCRIBE, REFINE_TEXT, SUBMIT_VIDEO, POLL_VIDEO, CAPTURE_VIDEO, ANALYZE),
    JobKind.ANALYSIS: (ANALYZE,),
    JobKind.STORY: (TRANSCRIBE, REFINE_TEXT),
}
STEPS = {step.name: step for plan in PLANS.values() for step in plan}

# These say that there is no clip, or none that is any good, so looking once more is of no use: a retry asks anew.
# PROVIDER_TIMEOUT is not among them: the clip is paid for, and may have come since.
NEEDS_NEW_CLIP = frozenset({"RENDER_FAILED", "PROVIDER_REFUSED", "CONTENT_REJECTED", "CLIP_UNREADABLE", "CLIP_GONE"})


def plan_for(kind: JobKind, artwork: Artwork) -> list[str]:
    """The steps that this artwork needs: one whose input is missing, or whose output is there already, is left out.

    There is one at least. The last one finds for itself that there is nothing left to do.
    """
    steps = [step.name for step in PLANS[kind]]
    if not artwork.audio_asset_id or artwork.transcript is not None:
        steps = [name for name in steps if name != TRANSCRIBE.name]
    # Words that were made before the recording was understood may be void by then.
    if artwork.words is not None and (artwork.description or TRANSCRIBE.name not in steps):
        steps = [name for name in steps if name != REFINE_TEXT.name]
    return steps or [PLANS[kind][-1].name]


def next_step(steps: list[str], step: str) -> str | None:
    """The step after this one, None at the end."""
    position = steps.index(step) + 1
    return steps[position] if position < len(steps) else None


def progress_at(steps: list[str], step: str, fraction: float) -> int:
    """Percent of the whole job when `fraction` of this step is done; 100 is left to success itself."""
    shares = [STEPS[name].share for name in steps]
    position = steps.index(step)
    done = sum(shares[:position]) + shares[position] * min(max(fraction, 0.0), 1.0)
    return min(99, int(100 * done / sum(shares)))


def plan_again(
    steps: list[str], step: str, symbol: str, artwork: Artwork, *, is_asked: bool = True
) -> tuple[list[str], str]:
    """The steps of a failed job and where it goes on: at the one that failed, unless its clip has to be asked for anew.

    `is_asked`: a clip was asked for that may still be had. A clip is asked for with words; where they were made of an
    older story, they are made anew first.
    """
    waits_for_clip = step in (POLL_VIDEO.name, CAPTURE_VIDEO.name)
    # A reading that was refused says nothing against the clip, which hangs in the gallery by then.
    is_made_anew = symbol in NEEDS_NEW_CLIP and step != ANALYZE.name
    if SUBMIT_VIDEO.name in steps and (is_made_anew or (waits_for_clip and not is_asked)):
        step = SUBMIT_VIDEO.name
    if step != SUBMIT_VIDEO.name or artwork.words:
        return steps, step
    needed = plan_for(JobKind.VIDEO, artwork)
    return [known.name for known in PLANS[JobKind.VIDEO] if known.name in {*steps, *needed}], needed[0]
