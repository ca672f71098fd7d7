"""ComfyUI's package comfy.comfy_types: names for type checkers, and of the types that travel on wires."""

from compat.shims.comfy.comfy_types.node_typing import (
    IO,
    CheckLazyMixin,
    ComfyNodeABC,
    FileLocator,
    HiddenInputTypeDict,
    InputTypeDict,
    InputTypeOptions,
)

__all__ = [
    "IO", "CheckLazyMixin", "ComfyNodeABC", "FileLocator", "HiddenInputTypeDict", "InputTypeDict", "InputTypeOptions",
]  # fmt: skip
