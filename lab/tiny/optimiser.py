"""The optimiser of every stage: Muon for matrices and convolution kernels, Adam for the rest, and averaged weights."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """The nearest half-orthogonal matrix, about: the quintic Newton-Schulz iteration of Jordan et al. 2024 (Muon)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = (x / (x.norm() + 1e-7)).bfloat16()
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    out: Tensor = (x.T if tall else x).float()
    return out


class Muon(torch.optim.Optimizer):
    """Momentum whose step is orthogonalised for weights of two and more dimensions; Adam for vectors and embeddings.

    Steps have the root mean square that Adam's have (Liu et al. 2025, arXiv:2502.16982), so one rate serves both.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, adam_lr: float = 1.0
    ) -> None:
        """adam_lr is Adam's rate as a multiple of lr."""
        super().__init__(list(parameters), {"lr": lr, "momentum": momentum, "adam_lr": adam_lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["step"] = 0
                    state["first"] = torch.zeros_like(p)
                    if not self._is_matrix(p):
                        state["second"] = torch.zeros_like(p)
                state["step"] += 1
                if self._is_matrix(p):
                    first = state["first"].mul_(group["momentum"]).add_(p.grad)
                    flat = p.grad.add(first, alpha=group["momentum"]).flatten(1)  # Nesterov
                    update = orthogonalise(flat).view_as(p)
                    p.add_(update, alpha=-group["lr"] * 0.2 * math.sqrt(max(flat.shape)))
                else:
                    n = state["step"]
                    first = state["first"].lerp_(p.grad, 0.1)
                    second = state["second"].lerp_(p.grad.square(), 0.01)
                    scale = (second / (1 - 0.99**n)).sqrt_().add_(1e-8)
                    p.addcdiv_(first, scale, value=-group["lr"] * group["adam_lr"] / (1 - 0.9**n))

    @staticmethod
    def _is_matrix(p: Tensor) -> bool:
        # A table of words gets gradients in a few rows only: orthogonalising it would move all others too.
        return p.ndim >= 2 and not getattr(p, "is_table", False)


class Average:
    """An exponential moving average of a network's weights, which samples better than the last ones."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {key: value.detach().clone() for key, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after update number `step`; early on the average follows faster."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                self.weights[key].lerp_(value, 1 - decay)


def rate(step: int, steps: int, peak: float, hold: float = 0.4, warm_up: int = 20) -> float:
    """The learning rate of an update: a short rise, a plateau, then a half cosine to a fiftieth of the peak."""
    if step < warm_up:
        return peak * (step + 1) / warm_up
    progress = max(0.0, (step - hold * steps) / ((1 - hold) * steps))
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))
