"""Trains the bundled checkpoint from nothing to the file, stage by stage; goes on where an earlier run stopped."""

from __future__ import annotations

import time
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from diffusion.layers.vae import VAE
from lab.tiny import export, text, unet, vae
from lab.tiny.captions import Example, example
from lab.tiny.stage import one_thread

FOLDER = Path(__file__).parents[2] / "build" / "tiny"
PICTURES = 8192  # encoded once, for the UNet and for the tuning of the decoder
SIZES, SHIFTS = (
    (96, 108),
    (-8, 0, 8),
)  # fewer than the VAE's, on the latents' grid: more of the training goes into subjects
SEED = 4


def examples() -> list[Example]:
    """What the UNet learns to draw."""
    return [example(SEED, index, SIZES, SHIFTS) for index in range(PICTURES)]


def latents(folder: Path) -> tuple[VAE, Tensor]:
    """The trained VAE, changed to fit the noise schedule, and the latents of the examples."""
    fitted, cached = folder / "vae.safetensors", folder / "latents.safetensors"
    if not cached.is_file():
        autoencoder = vae.train(folder)
        began_s = time.process_time()
        unit = vae.fit_to_schedule(autoencoder, vae.encode(autoencoder, examples()))
        save_file(autoencoder.state_dict(), fitted)
        save_file({"latents": unit}, cached)
        print(f"latents of {PICTURES} pictures  {time.process_time() - began_s:.0f} CPU s", flush=True)
    autoencoder = VAE(vae.CONFIG)
    autoencoder.load_state_dict(load_file(fitted))
    return autoencoder.eval(), load_file(cached)["latents"]


def decoder(folder: Path = FOLDER) -> VAE:
    """The VAE with its decoder tuned. Needs nothing of the UNet, so it may run in a process beside the UNet's."""
    one_thread()
    autoencoder, cached = latents(folder)
    return vae.tune_decoder(folder, autoencoder, examples(), cached)


def drawer(folder: Path = FOLDER) -> unet.Drawer:
    """The UNet with its text encoder."""
    one_thread()
    _, cached = latents(folder)
    return unet.train(folder, examples(), cached, text.train(folder))


def train(folder: Path = FOLDER, path: Path = export.CHECKPOINT) -> None:
    """Every stage, then the file."""
    drawn, decoded = drawer(folder), decoder(folder)
    export.write(drawn, decoded, path)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB", flush=True)
