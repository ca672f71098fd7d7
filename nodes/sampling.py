"""Samplers: from noise and a prompt to a latent, one pass of the network at a time."""

from collections.abc import Callable
from functools import partial

from diffusion.samplers import SAMPLER_NAMES
from diffusion.sampling import Denoising, denoising
from diffusion.schedules import SCHEDULE_NAMES
from graph.context import Context
from graph.node import UNFINISHED, Node, Stepper, Unfinished
from graph.widgets import Choice, Float, Int, Wire
from nodes.types import Conditioning, Latent, Model

MAX_SEED = 2**64 - 1
MAX_STEPS = 10000


class DenoisingSteps:
    """Denoising as a lane takes it: one step is one pass of the network."""

    def __init__(self, begin: Callable[[], Denoising]) -> None:
        self._begin = begin
        self._denoising: Denoising | None = None

    def start(self, ctx: Context) -> None:
        self._ctx = ctx
        self._denoising = self._begin()

    def step(self) -> Latent | Unfinished:
        assert self._denoising is not None
        more = self._denoising.step()
        if self._denoising.total:
            self._ctx.progress(self._denoising.done, self._denoising.total)
        return UNFINISHED if more else self._denoising.result()

    def close(self) -> None:
        if self._denoising is not None:
            self._denoising.close()
            self._denoising = None


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
            partial(
                denoising,
                self.model,
                seed=self.seed,
                steps=self.steps,
                cfg=self.cfg,
                sampler_name=self.sampler_name,
                scheduler=self.scheduler,
                positive=self.positive,
                negative=self.negative,
                latent=self.latent_image,
                denoise=self.denoise,
            )
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
            partial(
                denoising,
                self.model,
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
            )
        )
