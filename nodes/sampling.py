"""Samplers: from noise and a prompt to a latent, one pass of the network at a time."""

import logging
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Self

from diffusion.guidance import Guidance, answers
from diffusion.memory import Memory
from diffusion.preview import Previews, picture_of
from diffusion.samplers import SAMPLER_NAMES, Answer, Ask
from diffusion.sampling import Denoising, denoising
from diffusion.schedules import SCHEDULE_NAMES
from graph.context import Context
from graph.node import UNFINISHED, Node, Stepper, Unfinished
from graph.preview import Preview
from graph.widgets import Choice, Float, Int, Wire
from nodes.previews import LatentPreview
from nodes.types import Conditioning, Latent, Model

MAX_SEED = 2**64 - 1
MAX_STEPS = 10000

log = logging.getLogger(__name__)


class DenoisingSteps:
    """Denoising as a lane takes it: one step is one pass of the network, shared with other runs of the same model."""

    def __init__(self, model: Model, begin: Callable[[Model], Denoising]) -> None:
        self._model = model
        self._begin = begin
        self._denoising: Denoising | None = None
        self.company: Hashable | None = None

    def start(self, ctx: Context) -> None:
        self._ctx = ctx
        self._model = self._model.on(ctx.resource(Memory))
        self._denoising = run = self._begin(self._model)
        self._shows = wants_previews(ctx)
        if run.pending is not None and isinstance(run.denoiser, Guidance):
            self.company = run.denoiser.company(run.pending)

    @property
    def most(self) -> int:
        asked = self._asked()
        return 1 if asked is None else asked[0].most(asked[1])

    def step(self) -> Latent | Unfinished:
        return self._go_on(None)

    @classmethod
    def step_together(cls, members: Sequence[Self]) -> Sequence[Latent | Unfinished | BaseException]:
        asked = [each for each in (member._asked() for member in members) if each is not None]
        try:
            if len(asked) != len(members):
                raise LookupError("some of the runs have nothing to ask, or nobody who could answer with others")
            given: Sequence[Answer | None] = answers(asked)
        except Exception:  # whose fault it is shows when each is answered alone
            given = [None] * len(members)
        return [member._outcome(answer) for member, answer in zip(members, given, strict=True)]

    def close(self) -> None:
        if self._denoising is not None:
            self._denoising.close()
            self._denoising = None

    def _asked(self) -> tuple[Guidance, Ask] | None:
        run = self._denoising
        if run is None or run.pending is None or not isinstance(run.denoiser, Guidance):
            return None
        return run.denoiser, run.pending

    def _outcome(self, answer: Answer | None) -> Latent | Unfinished | BaseException:
        try:
            return self._go_on(answer)
        except BaseException as error:  # of this run alone; the others go on
            return error

    def _go_on(self, answer: Answer | None) -> Latent | Unfinished:
        """One step, with the answer to what is pending or by a pass of its own."""
        run = self._denoising
        assert run is not None
        if answer is None:
            run.step()
        else:
            run.answer(answer)
        if run.total:
            self._ctx.progress(run.done, run.total, self._preview(run))
        return run.result() if run.pending is None else UNFINISHED

    def _preview(self, run: Denoising) -> Preview | None:
        """What the network takes the picture to be, by its last answer."""
        if not self._shows or run.denoised is None:
            return None
        try:
            return LatentPreview(picture_of(run.denoised, self._model.colours()))
        except Exception:  # the picture matters, and it can be made without
            self._shows = False
            log.exception("There is no preview of this picture; it is drawn all the same.")
            return None


def wants_previews(ctx: Context) -> bool:
    """Whether the program was started with previews."""
    try:
        return ctx.resource(Previews).method != "none"
    except LookupError:
        return False


class KSampler(Node[Latent], category="sampling"):
    """Remove the noise from a latent, round by round, in the direction that the prompts say."""

    model: Model = Wire(tooltip="The network that guesses the noise.")
    seed: int = Int(
        default=0,
        min=0,
        max=MAX_SEED,
        control_after_generate=True,
        tooltip="Which noise to begin with. The same seed and settings give the same picture.",
    )
    steps: int = Int(
        default=20, min=1, max=MAX_STEPS, tooltip="How many rounds. More take longer and are finer, up to a point."
    )
    cfg: float = Float(
        default=8.0,
        min=0.0,
        max=100.0,
        step=0.1,
        round=0.01,
        tooltip="How strictly to follow the prompt. Low is free and soft, much too high is harsh and overdrawn.",
    )
    sampler_name: str = Choice(SAMPLER_NAMES, tooltip="How each round is computed.")
    scheduler: str = Choice(SCHEDULE_NAMES, tooltip="How much noise is left after each round.")
    positive: Conditioning = Wire(tooltip="What the picture should show.")
    negative: Conditioning = Wire(tooltip="What it should not show.")
    latent_image: Latent = Wire(tooltip="Where to begin: an empty latent, or a picture to change.")
    denoise: float = Float(
        default=1.0,
        min=0.0,
        max=1.0,
        step=0.01,
        tooltip="How much is made anew: 1 is everything; less keeps more of the picture that comes in.",
    )

    lane = "device"

    def stepper(self) -> Stepper[Latent]:
        return DenoisingSteps(
            self.model,
            partial(
                denoising,
                seed=self.seed,
                steps=self.steps,
                cfg=self.cfg,
                sampler_name=self.sampler_name,
                scheduler=self.scheduler,
                positive=self.positive,
                negative=self.negative,
                latent=self.latent_image,
                denoise=self.denoise,
            ),
        )


class KSamplerAdvanced(Node[Latent], category="sampling", display="KSampler (Advanced)"):
    """KSampler for a part of the rounds, so that several can share the work and hand over a latent still noisy."""

    model: Model = Wire(tooltip="The network that guesses the noise.")
    add_noise: str = Choice(("enable", "disable"), tooltip="Disable where the latent that comes in is noisy already.")
    noise_seed: int = Int(
        default=0,
        min=0,
        max=MAX_SEED,
        control_after_generate=True,
        tooltip="Which noise to begin with. The same seed and settings give the same picture.",
    )
    steps: int = Int(
        default=20, min=1, max=MAX_STEPS, tooltip="How many rounds the whole way from noise to picture has."
    )
    cfg: float = Float(
        default=8.0,
        min=0.0,
        max=100.0,
        step=0.1,
        round=0.01,
        tooltip="How strictly to follow the prompt. Low is free and soft, much too high is harsh and overdrawn.",
    )
    sampler_name: str = Choice(SAMPLER_NAMES, tooltip="How each round is computed.")
    scheduler: str = Choice(SCHEDULE_NAMES, tooltip="How much noise is left after each round.")
    positive: Conditioning = Wire(tooltip="What the picture should show.")
    negative: Conditioning = Wire(tooltip="What it should not show.")
    latent_image: Latent = Wire(tooltip="Where to begin: an empty latent, or a picture to change.")
    start_at_step: int = Int(
        default=0, min=0, max=MAX_STEPS, tooltip="The first of the rounds to do here, counted from 0."
    )
    end_at_step: int = Int(
        default=10000, min=0, max=MAX_STEPS, tooltip="The round to stop before; beyond the last means all."
    )
    return_with_leftover_noise: str = Choice(
        ("disable", "enable"), tooltip="Enable to hand over a latent that is still noisy to another sampler."
    )

    lane = "device"

    def stepper(self) -> Stepper[Latent]:
        return DenoisingSteps(
            self.model,
            partial(
                denoising,
                seed=self.noise_seed,
                steps=self.steps,
                cfg=self.cfg,
                sampler_name=self.sampler_name,
                scheduler=self.scheduler,
                positive=self.positive,
                negative=self.negative,
                latent=self.latent_image,
                add_noise=self.add_noise == "enable",
                start_step=self.start_at_step,
                last_step=self.end_at_step,
                force_full_denoise=self.return_with_leftover_noise == "disable",
            ),
        )
