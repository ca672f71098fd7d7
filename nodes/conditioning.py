"""Words to numbers: from a prompt and a CLIP to the conditioning that steers a sampler."""

from diffusion.memory import Memory
from graph.context import Context
from graph.node import Node
from graph.paths import Paths
from graph.widgets import Int, Text
from nodes.types import Clip, Conditioning

EMBEDDING = "embedding:"  # what makes a prompt depend on the files in models/embeddings


class CLIPTextEncode(Node[Conditioning], category="conditioning", display="CLIP Text Encode (Prompt)"):
    """Encode a prompt with a CLIP text model, from its last layer or an earlier one."""

    text: str = Text(
        multiline=True,
        dynamic_prompts=True,
        tooltip="What the picture should show. (word:1.2) gives a word more weight; embedding:name is a learnt one.",
    )
    clip: Clip
    clip_skip: int = Int(
        default=0,
        min=0,
        max=24,
        optional=True,
        tooltip="As model cards count: 1 is the last layer, 2 the last but one; 0 keeps what the CLIP says.",
    )

    lane = "device"

    def fingerprint(self, paths: Paths) -> str:
        if EMBEDDING not in self.text:
            return ""
        names = paths.list("embeddings")
        return repr([(name, paths.digest(paths.find("embeddings", name))) for name in names])

    def run(self, ctx: Context) -> Conditioning:
        clip = self.clip.on(ctx.resource(Memory))
        if self.clip_skip:
            clip = clip.stop_at(-self.clip_skip)
        return clip.encode(self.text)


class CLIPSetLastLayer(Node[Clip], category="conditioning", display="CLIP Set Last Layer"):
    """Let a CLIP text model stop at an earlier layer, as some checkpoints were trained to be used."""

    clip: Clip
    stop_at_clip_layer: int = Int(
        default=-1,
        min=-24,
        max=-1,
        step=1,
        tooltip="Counted from the end: -1 is the last layer, -2 the last but one (“clip skip 2”).",
    )

    def run(self, ctx: Context) -> Clip:
        return self.clip.stop_at(self.stop_at_clip_layer)
