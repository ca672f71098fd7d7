"""/view makes previews and channels of pictures, and refuses those that are broken or too large."""

import asyncio
from io import BytesIO
from pathlib import Path

import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.Image import Transpose

from tests.web.files import bomb, is_safe, picture, put, sentence, with_client
from tests.web.server import Client
from web.routes.view import asked_format


@pytest.mark.parametrize(
    ("asked", "kind", "mode"),
    [
        ({"preview": "webp"}, "webp", "RGBA"),
        ({"preview": "jpeg;80"}, "jpeg", "RGB"),
        ({"preview": "webp;75", "channel": "rgb"}, "webp", "RGB"),
        ({"preview": "jpeg", "channel": "rgba"}, "webp", "RGBA"),
        ({"preview": "jpeg", "channel": "a"}, "webp", "RGBA"),
        ({"preview": "jpeg", "channel": "rgb"}, "jpeg", "RGB"),
        ({"preview": "bmp"}, "webp", "RGBA"),
        ({"preview": ""}, "webp", "RGBA"),
        ({"preview": "webp;;loud;99999"}, "webp", "RGBA"),
    ],
)
def test_previews_have_the_format_asked_for(tmp_path: Path, asked: dict[str, str], kind: str, mode: str) -> None:
    picture(tmp_path / "output" / "a.png")

    async def use(client: Client) -> None:
        answer = await client.get("/view", params={"filename": "a.png", **asked})
        assert answer.status == 200
        assert answer.headers["Content-Type"] == f"image/{kind}"
        assert answer.headers["Content-Disposition"] == 'filename="a.png"'
        assert is_safe(answer)
        with Image.open(BytesIO(await answer.read())) as made:
            assert (made.format, made.mode, made.size) == (kind.upper(), mode, (8, 6))

    with_client(tmp_path, use)


@pytest.mark.parametrize(
    ("asked", "quality"),
    [("webp", 90), ("jpeg;0", 1), ("jpeg;7;55", 55), ("webp;101", 100), ("webp;-5", 90), ("webp;²", 90)],
)
def test_quality_is_at_least_1_and_at_most_100(asked: str, quality: int) -> None:
    assert asked_format(asked, "")[1] == quality


def test_a_lower_quality_is_a_smaller_preview(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    Image.effect_noise((128, 128), 80).convert("RGB").save(tmp_path / "output" / "noise.png")

    async def use(client: Client) -> None:
        sizes = []
        for quality in ("jpeg;5", "jpeg;50", "jpeg", "jpeg;100"):
            answer = await client.get("/view", params={"filename": "noise.png", "preview": quality})
            sizes.append(len(await answer.read()))
        assert sizes == sorted(set(sizes))

    with_client(tmp_path, use)


def test_channels_come_as_png(tmp_path: Path) -> None:
    picture(tmp_path / "output" / "clear.png")
    picture(tmp_path / "output" / "solid.png", "RGB")

    async def use(client: Client) -> None:
        async def channel(name: str, which: str) -> Image.Image:
            answer = await client.get("/view", params={"filename": name, "channel": which})
            assert answer.headers["Content-Type"] == "image/png"
            made = Image.open(BytesIO(await answer.read()))
            made.load()
            return made

        with Image.open(tmp_path / "output" / "clear.png") as original:
            colours = await channel("clear.png", "rgb")
            assert (colours.mode, colours.tobytes()) == ("RGB", original.convert("RGB").tobytes())
            alpha = await channel("clear.png", "a")
            assert alpha.mode == "RGBA"
            assert alpha.getchannel("A").tobytes() == original.getchannel("A").tobytes()
            assert alpha.convert("RGB").getextrema() == ((0, 0),) * 3
        assert (await channel("solid.png", "a")).getchannel("A").getextrema() == (255, 255)
        whole = await client.get("/view", params={"filename": "clear.png", "channel": "rgba"})
        assert await whole.read() == (tmp_path / "output" / "clear.png").read_bytes()

    with_client(tmp_path, use)


def test_previews_stand_upright(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    left_white = Image.new("L", (64, 32))
    left_white.paste(255, (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    left_white.save(tmp_path / "output" / "turned.jpg", exif=exif)

    async def use(client: Client) -> None:
        answer = await client.get("/view", params={"filename": "turned.jpg", "preview": "webp"})
        with Image.open(BytesIO(await answer.read())) as made:
            expected = left_white.transpose(Transpose.ROTATE_270)
            assert made.size == expected.size == (32, 64)
            assert [made.convert("L").getpixel((16, y)) > 128 for y in (4, 60)] == [True, False]  # type: ignore[operator]

    with_client(tmp_path, use)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "CMYK", "I", "I;16", "F"])
def test_every_mode_of_pictures_has_a_preview(tmp_path: Path, mode: str) -> None:
    (tmp_path / "output").mkdir()
    Image.new(mode, (4, 4)).save(tmp_path / "output" / "a.tif")

    async def use(client: Client) -> None:
        for asked in ({"preview": "webp"}, {"preview": "jpeg"}, {"channel": "rgb"}, {"channel": "a"}):
            answer = await client.get("/view", params={"filename": "a.tif", **asked})
            assert answer.status == 200, await answer.text()

    with_client(tmp_path, use)


@pytest.mark.parametrize("most", [PIL.Image.MAX_IMAGE_PIXELS, None])  # packs switch off the limit of Pillow
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int | None
) -> None:
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", most)
    put(tmp_path / "output" / "bomb.png", bomb(15_000, 15_000))
    put(tmp_path / "output" / "worse.png", bomb(2**31 - 1, 2**31 - 1))

    async def use(client: Client) -> None:
        for name in ("bomb.png", "worse.png"):
            for asked in ({"preview": "webp"}, {"channel": "rgb"}, {"channel": "a"}):
                answer = await client.get("/view", params={"filename": name, **asked})
                assert "at most 178956970 pixels" in await sentence(answer, 413)

    with_client(tmp_path, use)


def test_broken_pictures_are_refused_however_they_are_broken(tmp_path: Path) -> None:
    whole = {
        kind: picture(tmp_path / f"a.{kind}", "RGB") for kind in ("png", "jpeg", "webp", "gif", "bmp", "tiff", "avif")
    }
    broken: list[bytes] = []

    @settings(max_examples=150, deadline=None)
    @given(kind=st.sampled_from(sorted(whole)), data=st.data())
    def break_one(kind: str, data: st.DataObject) -> None:
        content = bytearray(whole[kind])
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
        broken.append(bytes(content[: data.draw(st.integers(4, len(content)))]))

    break_one()

    async def use(client: Client) -> None:
        for content in broken:
            put(tmp_path / "output" / "a.png", content)
            answer = await client.get("/view", params={"filename": "a.png", "preview": "jpeg"})
            assert answer.status in {200, 400, 413}, content

    with_client(tmp_path, use)


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n",
        b"P6 1 1 255\n\0\0\0",  # Pillow could read it, but no browser
    ],
)
def test_files_of_other_kinds_are_not_even_tried_as_pictures(tmp_path: Path, content: bytes) -> None:
    put(tmp_path / "output" / "a.png", content)

    async def use(client: Client) -> None:
        answer = await client.get("/view", params={"filename": "a.png", "preview": "webp"})
        assert "cannot be read as a picture" in await sentence(answer, 400)

    with_client(tmp_path, use)


def test_many_previews_at_once_all_come(tmp_path: Path) -> None:
    picture(tmp_path / "output" / "a.png")

    async def use(client: Client) -> None:
        answers = await asyncio.gather(*(client.get("/view?filename=a.png&preview=webp;70") for _ in range(50)))
        assert {answer.status for answer in answers} == {200}
        assert len({await answer.read() for answer in answers}) == 1

    with_client(tmp_path, use)
