"""Pictures from and to files, as nodes."""

import mimetypes
import secrets
import string
from collections.abc import Iterable
from typing import NamedTuple

from graph.context import Context
from graph.node import Node
from graph.paths import PathError, Paths
from graph.saving import Series
from graph.widgets import Choice, Text, Wire
from nodes.pictures import PictureError, check_picture, read_picture, write_png
from nodes.types import Image, Mask


class LoadedImage(NamedTuple):
    """A picture and its transparency."""

    image: Image
    mask: Mask


def input_pictures(paths: Paths) -> list[str]:
    """The picture files in the input folder, judged by their endings."""
    return [name for name in paths.files("input") if (mimetypes.guess_type(name)[0] or "").startswith("image/")]


class LoadImage(Node[LoadedImage], category="image", display="Load Image"):
    """Load a picture from the input folder. Its transparency comes out as a mask; an animation as a batch of frames."""

    image: str = Choice(
        input_pictures,
        open=True,
        image_upload=True,
        tooltip="A file in the input folder; “name.png [output]” takes one from the output folder.",
    )

    lane = "io"

    def check(self, paths: Paths) -> Iterable[tuple[str, str]]:
        try:
            check_picture(paths.find_annotated(self.image))
        except (PathError, PictureError) as error:
            yield "image", str(error)

    def fingerprint(self, paths: Paths) -> str:
        return paths.digest(paths.find_annotated(self.image))

    def run(self, ctx: Context) -> LoadedImage:
        return LoadedImage(*read_picture(ctx.paths.find_annotated(self.image)))


class SaveImage(Node[None], category="image", display="Save Image", output=True, hidden=("prompt", "extra_pnginfo")):
    """Save pictures as PNG files in the output folder. Each carries the workflow that made it."""

    images: Image = Wire(tooltip="The pictures to save.")
    filename_prefix: str = Text(
        default="ComfyUI",
        tooltip="How the file names begin; a number follows. May name a sub-folder and hold %width%, %height%, %year%, "
        "%month%, %day%, %hour%, %minute%, %second% and %batch_num%.",
    )

    lane = "io"

    def check(self, paths: Paths) -> Iterable[tuple[str, str]]:
        try:
            paths.series(self.filename_prefix)
        except PathError as error:
            yield "filename_prefix", str(error)

    def run(self, ctx: Context) -> None:
        height, width = self.images.shape[1:3]
        save_pictures(ctx, self.images, ctx.series(self.filename_prefix, width=width, height=height), compress_level=4)


class PreviewImage(
    Node[None], category="image", display="Preview Image", output=True, hidden=("prompt", "extra_pnginfo")
):
    """Show pictures without keeping them: they go to the temp folder."""

    images: Image = Wire(tooltip="The pictures to show.")

    lane = "io"

    def run(self, ctx: Context) -> None:
        prefix = "ComfyUI_temp_" + "".join(secrets.choice(string.ascii_lowercase) for _ in range(5))
        save_pictures(ctx, self.images, ctx.series(prefix, "temp"), compress_level=1)


def save_pictures(ctx: Context, images: Image, series: Series, *, compress_level: int) -> None:
    """Save each picture of a batch under the next free name of a series, with its recipe, and show it."""
    recipe = {"prompt": ctx.prompt, **ctx.extra_pnginfo}
    for number, image in enumerate(images):
        ctx.check_cancelled()
        with series.claim(".png", batch_num=number) as claim:
            write_png(claim.part, image, recipe, compress_level=compress_level)
        ctx.show("images", [claim.entry])
