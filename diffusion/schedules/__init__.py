"""Schedules: which noise levels a run steps through. One file each, found by scanning this folder; copy karras.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor

from diffusion.parameterisation import Parameterisation
from diffusion.plugins import import_all, in_order

Schedule = Callable[[Parameterisation, int], Tensor]
"""(parameterisation, n ≥ 1) → sigmas [n + 1] float32, strictly descending, the last one 0.

Three schedules pick from the N trained noise levels and may come out with another length: `ddim_uniform` where n does
not divide N, `beta` where two steps fall on one level, `simple` where n > N.
"""

_FOUND: dict[str, Schedule] = {}


def schedule(name: str) -> Callable[[Schedule], Schedule]:
    """Register a schedule under the name that workflows call it by."""

    def register(function: Schedule) -> Schedule:
        if name in _FOUND:
            raise ValueError(f"two schedules are called {name!r}")
        _FOUND[name] = function
        return function

    return register


import_all(__name__, __path__)

SCHEDULES: Mapping[str, Schedule] = MappingProxyType(_FOUND)
SCHEDULE_NAMES = in_order(
    SCHEDULES,
    "simple sgm_uniform karras exponential ddim_uniform beta normal linear_quadratic kl_optimal",
)
"""In the order in which ComfyUI lists them; workflows with an unknown name get the first there."""
