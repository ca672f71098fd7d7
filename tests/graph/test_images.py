"""The texts that pictures carry: where each format and each program keeps them."""

import io
import json
import zlib

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.PngImagePlugin import PngInfo

from graph.problems import DocumentError
from graph.read.images import is_picture, read_texts, texts_of
from tests.graph.pictures import (
    COMMENT,
    DESCRIPTION,
    MAKE,
    MODEL,
    chunk,
    exif,
    gif,
    image,
    jpeg,
    png,
    png_of,
    saved,
    user_comment,
    xmp,
)

PROMPT = json.dumps({"1": {"class_type": "Add", "inputs": {"a": "ünï 猫"}}}, ensure_ascii=False)
WORKFLOW = json.dumps({"nodes": [], "links": []})
PARAMETERS = "a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, Seed: 1, 猫: x"


def test_png_in_every_kind_of_text_chunk() -> None:
    packed = zlib.compress(PROMPT.encode())
    plain = {"prompt": PROMPT}
    assert texts_of(png_of(chunk(b"tEXt", b"prompt\0" + json.dumps({}).encode()))) == {"prompt": "{}"}
    assert texts_of(png_of(chunk(b"tEXt", b"prompt\0" + PROMPT.encode()))) == plain  # some write UTF-8 also there
    assert texts_of(png_of(chunk(b"tEXt", b"parameters\0" + "ünï".encode("latin-1")))) == {"parameters": "ünï"}
    assert texts_of(png_of(chunk(b"zTXt", b"prompt\0\0" + packed))) == plain
    assert texts_of(png_of(chunk(b"iTXt", b"prompt\0\0\0en\0key\0" + PROMPT.encode()))) == plain
    assert texts_of(png_of(chunk(b"iTXt", b"prompt\0\1\0\0\0" + packed))) == plain
    assert texts_of(png_of(chunk(b"comf", b"prompt\0" + PROMPT.encode()))) == plain
    assert texts_of(png_of(chunk(b"eXIf", exif({MODEL: b"prompt:" + PROMPT.encode()})))) == plain
    assert texts_of(png_of(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(f"<prompt>{PROMPT}</prompt>")))) == plain


@given(st.dictionaries(st.sampled_from(["prompt", "workflow", "parameters"]), st.text(st.characters(codec="utf-8"))))
def test_png_gives_back_what_was_saved_with_it(texts: dict[str, str]) -> None:
    info, data = PngInfo(), io.BytesIO()
    for number, (key, text) in enumerate(texts.items()):
        info.add_itxt(key, text, zip=bool(number % 2))
    image().save(data, "PNG", pnginfo=info)
    assert texts_of(data.getvalue()) == texts


def test_png_keys_of_others_are_left_alone() -> None:
    assert texts_of(png(Software="x", Comment=PROMPT, workflow=WORKFLOW)) == {"workflow": WORKFLOW}


def test_animated_png_keeps_its_texts_after_the_pixels() -> None:
    info, data = PngInfo(), io.BytesIO()
    info.add(b"comf", b"prompt\0" + json.dumps(json.loads(PROMPT)).encode(), after_idat=True)
    info.add(b"comf", b"workflow\0" + WORKFLOW.encode(), after_idat=True)
    frames = [PIL.Image.new("RGB", (2, 2), color) for color in ("red", "blue")]
    frames[0].save(data, "PNG", pnginfo=info, save_all=True, append_images=frames[1:])
    texts = texts_of(data.getvalue())
    assert json.loads(texts["prompt"]) == json.loads(PROMPT)
    assert texts["workflow"] == WORKFLOW


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("mark", [b"", b"Exif\0\0"])
@pytest.mark.parametrize("case", [str.lower, str.capitalize])
def test_webp_keeps_them_in_values_with_the_key_before(order: str, mark: bytes, case: type[str]) -> None:
    tags = {
        MAKE: f"{case('workflow')}:{WORKFLOW}".encode() + b"\0",
        MODEL: f"{case('prompt')}:{PROMPT}".encode() + b"\0",
    }
    data = saved("WEBP", exif=mark + exif(tags, order=order))
    assert texts_of(data) == {"prompt": PROMPT, "workflow": WORKFLOW}


def test_webp_as_pillow_writes_its_exif_also_animated() -> None:
    made = image().getexif()
    prompt = json.dumps(json.loads(PROMPT))
    made[MODEL], made[MAKE], made[DESCRIPTION] = f"prompt:{prompt}", f"workflow:{WORKFLOW}", "other:{}"
    frames = [PIL.Image.new("RGB", (16, 16), color) for color in ("red", "blue")]
    data = io.BytesIO()
    frames[0].save(data, "WEBP", exif=made, save_all=True, append_images=frames[1:])
    assert texts_of(data.getvalue()) == {"prompt": prompt, "workflow": WORKFLOW}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("comment", ["be", "le"])
@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_a_user_comment_in_either_utf_16_is_read_by_what_it_says(kind: str, order: str, comment: str) -> None:
    """Most write it with the highest byte first, whatever the order of the file."""
    data = saved(kind, exif=b"Exif\0\0" + exif({}, {COMMENT: user_comment(PARAMETERS, comment)}, order))
    assert texts_of(data) == {"parameters": PARAMETERS}


@pytest.mark.parametrize("code", [b"ASCII\0\0\0", bytes(8), b""])
def test_a_user_comment_in_other_codes(code: bytes) -> None:
    data = saved("JPEG", exif=b"Exif\0\0" + exif({}, {COMMENT: code + PARAMETERS.encode() + b"\0"}))
    assert texts_of(data) == {"parameters": PARAMETERS}


def test_jpeg_in_its_description_its_comment_and_in_exif_of_several_segments() -> None:
    assert texts_of(saved("JPEG", exif=b"Exif\0\0" + exif({DESCRIPTION: PARAMETERS.encode()})))["parameters"]
    assert texts_of(saved("JPEG", comment=PARAMETERS.encode())) == {"parameters": PARAMETERS}
    assert texts_of(saved("JPEG", comment=PROMPT.encode())) == {"prompt": PROMPT}
    assert texts_of(saved("JPEG", comment=b"Workflow: " + WORKFLOW.encode())) == {"workflow": WORKFLOW}
    long = PROMPT.replace("cat", "cat" * 40_000)
    whole = exif({MODEL: b"prompt:" + long.encode()})
    parts = [(0xE1, b"Exif\0\0" + whole[start : start + 60_000]) for start in range(0, len(whole), 60_000)]
    assert texts_of(jpeg(*parts)) == {"prompt": long}


def test_xmp_in_elements_and_attributes() -> None:
    comment = f"<exif:UserComment><rdf:Alt><rdf:li>{PARAMETERS}</rdf:li></rdf:Alt></exif:UserComment>"
    assert texts_of(saved("WEBP", xmp=xmp(comment))) == {"parameters": PARAMETERS}
    assert texts_of(jpeg((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp(comment)))) == {"parameters": PARAMETERS}
    quoted = WORKFLOW.replace('"', "&quot;")
    assert texts_of(saved("WEBP", xmp=xmp("", f'exif:workflow="{quoted}"'))) == {"workflow": WORKFLOW}
    assert texts_of(saved("AVIF", xmp=xmp(comment))) == {"parameters": PARAMETERS}


def test_gif_in_comments_before_its_first_picture() -> None:
    assert texts_of(gif(b"made with care", PARAMETERS.encode())) == {"parameters": PARAMETERS}
    frames = [PIL.Image.new("P", (4, 4), number) for number in (0, 1)]
    data = io.BytesIO()
    frames[0].save(data, "GIF", comment=PARAMETERS.encode(), save_all=True, append_images=frames[1:])
    assert texts_of(data.getvalue()) == {"parameters": PARAMETERS}


def test_a_text_with_its_key_comes_before_one_told_by_content() -> None:
    tags = {DESCRIPTION: PROMPT.replace("Add", "Other").encode(), MODEL: b"prompt:" + PROMPT.encode()}
    assert texts_of(saved("WEBP", exif=exif(tags))) == {"prompt": PROMPT}


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG", "GIF", "AVIF"])
def test_a_picture_without_texts_carries_none(kind: str) -> None:
    assert is_picture(saved(kind))
    assert read_texts(saved(kind)) == ({}, ())


def test_what_is_whole_of_a_broken_picture_is_read() -> None:
    data = png_of(chunk(b"tEXt", b"prompt\0{}"), chunk(b"tEXt", b"workflow\0{}"))
    texts, notes = read_texts(data[:70])
    assert texts == {"prompt": "{}"}
    assert notes == ("The picture is not whole (it breaks off); what it carries was read as far as it goes.",)
    damaged = data.replace(b"prompt\0{}", b"prompt\0{]")
    assert read_texts(damaged)[0] == {"workflow": "{}"}
    assert "a text in it is damaged" in read_texts(damaged)[1][0]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x89PNG\r\n\x1a\nrubbish, and more of it", "it does not begin as a PNG does"),
        (png_of()[:40], "it breaks off"),
        (png_of(chunk(b"zTXt", b"prompt\0\0rubbish")), "a text in it cannot be unpacked"),
        (png_of(chunk(b"zTXt", b"prompt\0\0" + zlib.compress(b"abc" * 99)[:-8])), "a text in it breaks off"),
        (b"\xff\xd8\xff\xe1\0\xffx", "it breaks off"),
        (b"\xff\xd8\xff\xe1\0\2rubbish", "its segments do not fit together"),
        (b"\xff\xd8\xff\xe1\0\0rubbish", "it breaks off"),
        (b"RIFF\0\0\0\0WEBPEXIF\xff\xff\xff\xffII", "it breaks off"),
        (b"GIF89a\1", "it breaks off"),
        (gif(b"x" * 300)[:60], "it breaks off"),
        (saved("AVIF")[:60], "it breaks off"),
    ],
)
def test_what_is_broken_gets_one_sentence(data: bytes, why: str) -> None:
    with pytest.raises(
        DocumentError, match=f"This picture cannot be read, since {why}.*; give one that is whole."
    ) as e:
        texts_of(data)
    assert len(e.value.problems) == 1


def test_what_is_no_picture_gets_one_sentence() -> None:
    assert not is_picture(b"BM")
    with pytest.raises(DocumentError, match="This is no picture of a kind that can carry a workflow"):
        texts_of(b"BM")
