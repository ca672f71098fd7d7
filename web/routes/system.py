"""/system_stats: the machine, its devices, and what runs there."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from pathlib import PurePath

import msgspec

from graph.library import DeviceFacts
from web.declare import Call, route

# Clients ask which ComfyUI they speak to, and some compare: this is the one whose API Darkroom speaks.
COMFYUI_VERSION = "0.3.64"


class System(msgspec.Struct, kw_only=True):
    """The machine and its programs. Sizes are bytes."""

    os: str
    platform: str
    ram_total: int
    ram_free: int
    server: str = "Darkroom"
    comfyui_version: str = COMFYUI_VERSION
    python_version: str
    pytorch_version: str
    versions: dict[str, str]
    embedded_python: bool = False
    argv: list[str]


class Device(msgspec.Struct):
    """A device that computes. Sizes are bytes; `torch_` is what is kept for tensors, and of that what is free."""

    name: str
    type: str
    index: int | None
    vram_total: int
    vram_free: int
    torch_vram_total: int
    torch_vram_free: int


class SystemStats(msgspec.Struct):
    """The machine, and its devices."""

    system: System
    devices: list[Device]


@route("GET", "/system_stats")
async def show_system(call: Call) -> SystemStats:
    """The machine, its memory, its devices, and the versions of what runs there.

    `comfyui_version` is the version of ComfyUI whose API this is. Of the command line there are the names of options,
    and never their values, since tokens are among them.
    """
    around = call.services.surroundings

    def look() -> SystemStats:
        import psutil

        memory = psutil.virtual_memory()
        system = System(
            os=os.name,
            platform=platform.platform(),
            ram_total=memory.total,
            ram_free=memory.available,
            python_version=sys.version,
            pytorch_version=around.versions.get("torch", ""),
            versions=dict(around.versions),
            argv=without_values(sys.argv),
        )
        return SystemStats(system, [_device(each) for each in around.devices()])

    return await asyncio.to_thread(look)


def without_values(arguments: list[str]) -> list[str]:
    """The name of the program, and those of the options that it was given."""
    options = [each.partition("=")[0] for each in arguments[1:] if each.startswith("--")]
    return [*(PurePath(each).name for each in arguments[:1]), *options]


def _device(facts: DeviceFacts) -> Device:
    return Device(
        facts.name, facts.type, facts.index, facts.memory_total_bytes, facts.memory_free_bytes,
        facts.reserved_total_bytes, facts.reserved_free_bytes,
    )  # fmt: skip
