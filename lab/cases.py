"""What a comparison with reference numbers is made of: a name, and a way to measure how far Darkroom is from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Difference:
    """How far a result is from the reference, and how far it may be. Equal to it: 0."""

    value: float
    limit: float
    unit: str = ""

    @property
    def within(self) -> bool:
        """Whether the difference is allowed. A NaN is not."""
        return self.value <= self.limit

    @property
    def share(self) -> float:
        """How much of what is allowed is used up; more than 1 is too far."""
        if not self.within:
            return float("inf")
        return self.value / self.limit if self.limit else 0.0

    def __str__(self) -> str:
        return f"{self.value:.2e} of {self.limit:.0e}{' ' if self.unit else ''}{self.unit}"


@dataclass(frozen=True)
class Case:
    """One comparison. `run` gives every difference in it, or a sentence on why the case is not covered yet."""

    name: str
    run: Callable[[], list[Difference] | str]


def absolute(ours: Tensor, reference: Tensor, limit: float) -> list[Difference]:
    """The largest difference of two tensors in their own unit: infinite for another shape. NaN equals NaN."""
    if ours.shape != reference.shape:
        return [Difference(float("inf"), limit, f"the shape is {list(ours.shape)}, not {list(reference.shape)}")]
    unequal = ~((ours == reference) | (ours.isnan() & reference.isnan()))
    worst = (ours - reference)[unequal].abs().max().item() if unequal.any() else 0.0
    return [Difference(worst, limit)]


def relative(ours: Tensor, reference: Tensor, *, of_std: float = 1e-4, l2: float = 2e-5) -> list[Difference]:
    """The largest difference in standard deviations of the reference, and the relative difference in the L2 norm."""
    [worst] = absolute(ours, reference, of_std)
    if worst.value == float("inf"):
        return [worst]
    ours, reference = ours.double(), reference.double()
    return [
        Difference(worst.value / reference.std().item(), of_std, "std"),
        Difference(((ours - reference).norm() / reference.norm()).item(), l2, "L2"),
    ]
