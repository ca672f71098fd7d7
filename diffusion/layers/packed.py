"""Convolutions whose weights lie in the order that the CPU's kernels read them, so that no pass reorders them again."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusion.layers import vae

PACKED_FROM = (torch.float32, torch.float16, torch.bfloat16)
"""What a weight may be before it is packed as float32."""


class PackedConv2d(nn.Module):
    """A convolution for inference on the CPU with its weight reordered once for oneDNN.

    A plain convolution reorders its weight at every call. On the small feature maps of a UNet that costs as much as the
    convolution itself: 1280 to 1280 channels at 8 × 8 run at twice the rate when packed.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.stride, self.padding, self.dilation, self.groups = conv.stride, conv.padding, conv.dilation, conv.groups
        # From halves to packed floats in two copies: a float tensor in between would be a third.
        packed = torch.ops.aten.mkldnn_reorder_conv2d_weight(
            conv.weight.detach().to_mkldnn(torch.float32), conv.padding, conv.stride, conv.dilation, conv.groups
        )
        # Not part of a state dict: a packed weight has no shape or order that another program could read.
        self.register_buffer("weight", packed, persistent=False)
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        # Channels-last in, channels-last out: only a network's first convolution ever copies here.
        x = x.contiguous(memory_format=torch.channels_last)
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, self.padding, self.stride, self.dilation, self.groups, "none", [], ""
        )
        return out


class PointwiseConv2d(nn.Module):
    """A 1 × 1 convolution as the matrix product that it is; in channels-last memory its input needs no copy."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.register_buffer("weight", conv.weight.detach()[:, :, 0, 0].float(), persistent=False)
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.permute(0, 2, 3, 1), self.weight, self.bias).permute(0, 3, 1, 2)


class PackedUpsample(nn.Module):
    """Nearest neighbour to twice the size and a 3 × 3 convolution, as four 2 × 2 convolutions of the small picture.

    In the enlarged picture two of the three rows under the kernel are copies of one, and so are two of the columns.
    Their weights are added beforehand, differently for even and odd places: 4 products for each output instead of 9.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.channels = conv.out_channels
        for place, (row, column) in enumerate(PLACES):
            folded = _fold(_fold(conv.weight.detach().float(), 2, row), 3, column)
            phase = nn.Conv2d(conv.in_channels, conv.out_channels, 2, padding=1, device="meta")
            phase.weight = nn.Parameter(folded, requires_grad=False)
            phase.bias = conv.bias
            self.add_module(str(place), PackedConv2d(phase))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, channels, 2 H, 2 W]."""
        height, width = x.shape[2:]
        shape = (len(x), self.channels, 2 * height, 2 * width)
        out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        for (row, column), phase in zip(PLACES, self.children(), strict=True):
            # The padding is for both even places, which look back, and odd ones, which look ahead.
            out[:, :, row::2, column::2] = phase(x)[:, :, row : row + height, column : column + width]
        return out


PLACES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column of an output within the 2 × 2 that one small pixel becomes."""


def _fold(weight: Tensor, dim: int, place: int) -> Tensor:
    """Three rows (or columns) of a kernel as two: those that fall on one small pixel added."""
    first, second, third = weight.unbind(dim)
    return torch.stack([first, second + third] if place == 0 else [first + second, third], dim)


def pack_convolutions(network: nn.Module) -> None:
    """Replace every convolution of a network on the CPU by one that computes in float32, freeing each plain weight.

    The weights may still be of any dtype of PACKED_FROM, as they are in a file.
    """
    for module in network.modules():
        for name, child in list(module.named_children()):
            if isinstance(child, vae.Upsample):
                setattr(module, name, PackedUpsample(child.conv))
            elif isinstance(child, nn.Conv2d):
                pointwise = child.kernel_size == (1, 1) and child.stride == (1, 1) and child.groups == 1
                setattr(module, name, PointwiseConv2d(child) if pointwise else PackedConv2d(child))
