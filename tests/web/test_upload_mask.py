"""A mask becomes the alpha of the picture that it is for."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.web.files import files, form, png, sentence, with_client
from tests.web.server import Client


def mask(values: bytes, size: tuple[int, int] = (4, 4)) -> bytes:
    made = Image.new("RGBA", size)
    made.putalpha(Image.frombytes("L", size, values))
    file = BytesIO()
    made.save(file, "png")
    return file.getvalue()


def original(base: Path, name: str = "output/a.png", **options: Any) -> Path:
    path = base / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png((10, 20, 30), **options))
    return path


def reference(filename: str = "a.png", **more: str) -> str:
    return json.dumps({"filename": filename, **more})


def test_a_mask_becomes_the_alpha_of_the_picture_it_is_for(tmp_path: Path) -> None:
    texts = PngInfo()
    texts.add_text("prompt", '{"1": {}}')
    texts.add_itxt("workflow", "名")
    kept = original(tmp_path, pnginfo=texts)
    original(tmp_path, "input/sub/b.png", mode="RGB")

    async def use(client: Client) -> None:
        sent = form(mask(bytes(range(16))), "masked.png", original_ref=reference(), subfolder="clipspace")
        answer = await client.post("/upload/mask", data=sent)
        assert answer.status == 200, await answer.text()
        assert await answer.json() == {"name": "masked.png", "subfolder": "clipspace", "type": "input"}
        with Image.open(tmp_path / "input" / "clipspace" / "masked.png") as result:
            assert (result.format, result.mode) == ("PNG", "RGBA")
            assert result.getchannel("A").tobytes() == bytes(range(16))
            assert result.getpixel((0, 0)) == (10, 20, 30, 0)
            assert result.text == {"prompt": '{"1": {}}', "workflow": "名"}  # type: ignore[attr-defined]
        assert kept.read_bytes() == png((10, 20, 30), pnginfo=texts)
        elsewhere = reference("b.png", subfolder="sub", type="input")
        answer = await client.post("/api/upload/mask", data=form(mask(bytes(16)), "b.png", original_ref=elsewhere))
        assert answer.status == 200
        again = await client.post("/upload/mask", data=form(mask(bytes(16)), "b.png", original_ref=elsewhere))
        assert (await again.json())["name"] == "b.png"
        assert set(files(tmp_path)) == {"output/a.png", "input/sub/b.png", "input/clipspace/masked.png", "input/b.png"}

    with_client(tmp_path, use)


def test_a_mask_of_another_size_is_refused_with_both_sizes(tmp_path: Path) -> None:
    original(tmp_path)

    async def use(client: Client) -> None:
        sent = form(mask(bytes(20), (4, 5)), "m.png", original_ref=reference())
        assert "4 x 4 and 4 x 5 pixels" in await sentence(await client.post("/upload/mask", data=sent), 400)

    with_client(tmp_path, use)


@pytest.mark.parametrize(
    ("content", "name", "ref", "status"),
    [
        (mask(bytes(16)), "m.png", reference("none.png"), 404),
        (mask(bytes(16)), "m.png", reference("a.png", type="input"), 404),
        (mask(bytes(16)), "m.png", reference("../secret.png"), 400),
        (mask(bytes(16)), "m.png", reference("secret.png", subfolder=".."), 403),
        (mask(bytes(16)), "m.png", reference("../secret.png [input]"), 400),
        (mask(bytes(16)), "m.png", reference("a.png", type="models"), 400),
        (mask(bytes(16)), "m.png", reference("text.txt"), 400),
        (mask(bytes(16)), "m.png", "{}", 400),
        (mask(bytes(16)), "m.png", "[]", 400),
        (mask(bytes(16)), "m.png", "no JSON", 400),
        (mask(bytes(16)), "m.png", '{"filename": 5}', 400),
        (mask(bytes(16)), "m.png", "[" * 10_000, 400),
        (mask(bytes(16)), "m.png", '{"filename": "\\ud800.png"}', 404),
        (mask(bytes(16)), "m.png", None, 400),
        (mask(bytes(16)), "m.jpg", reference(), 400),
        (mask(bytes(20), (4, 5)), "m.png", reference(), 400),
        (mask(bytes(16))[:45], "m.png", reference(), 400),
        (b"", "m.png", reference(), 400),
    ],
)
def test_a_mask_that_fits_to_nothing_leaves_nothing_behind(
    tmp_path: Path, content: bytes, name: str, ref: str | None, status: int
) -> None:
    original(tmp_path)
    original(tmp_path, "secret.png")
    (tmp_path / "output" / "text.txt").write_bytes(b"text")

    async def use(client: Client) -> None:
        fields = {} if ref is None else {"original_ref": ref}
        await sentence(await client.post("/upload/mask", data=form(content, name, **fields)), status)
        assert set(files(tmp_path)) == {"output/a.png", "output/text.txt"}

    with_client(tmp_path, use)
