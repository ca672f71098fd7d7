"""/models, /embeddings, /experiment/models and /view_metadata list and describe models, and run nothing of them."""

import asyncio
import base64
import json
import os
import struct
from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from yarl import URL

from tests.web.server import Client, serving

CONTRACT_ORDER = [
    *("checkpoints", "configs", "loras", "vae", "text_encoders", "diffusion_models", "clip_vision", "style_models"),
    *("embeddings", "diffusers", "vae_approx", "controlnet", "gligen", "upscale_models", "custom_nodes"),
    *("hypernetworks", "photomaker", "classifiers", "model_patches", "audio_encoders"),
]


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def safetensors(header: object) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text


def png(colour: str) -> bytes:
    file = BytesIO()
    Image.new("RGB", (8, 8), colour).save(file, "png")
    return file.getvalue()


def with_client(base: Path, use: Callable[[Client], Awaitable[None]]) -> None:
    async def run() -> None:
        async with serving(base) as (client, _):
            await use(client)

    asyncio.run(run())


async def read(client: Client, path: str, **query: str) -> Any:
    answer = await client.get(path, params=query)
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def is_missing(answer: ClientResponse) -> bool:
    body = await answer.json()
    return answer.status == 404 and body["error"]["type"] == "not_found" and body["error"]["message"].endswith(".")


def test_kinds_are_listed_in_order(tmp_path: Path) -> None:
    async def use(client: Client) -> None:
        assert await read(client, "/models") == CONTRACT_ORDER
        assert await read(client, "/api/models") == CONTRACT_ORDER

    with_client(tmp_path, use)


def test_models_are_listed_by_their_names(tmp_path: Path) -> None:
    for name in ("b.safetensors", "deep/a.ckpt", ".hidden.ckpt", ".git/c.ckpt", "notes.txt"):
        put(tmp_path / "models" / "checkpoints" / name)
    put(tmp_path / "custom_nodes" / "pack" / "secret.py")
    for name in ("style.pt", "deep/face.v2.safetensors"):
        put(tmp_path / "models" / "embeddings" / name)

    async def use(client: Client) -> None:
        assert await read(client, "/models/checkpoints") == ["b.safetensors", str(Path("deep/a.ckpt"))]
        assert await read(client, "/models/vae") == []
        assert await read(client, "/models/custom_nodes") == []
        assert await read(client, "/embeddings") == [str(Path("deep/face.v2")), "style"]
        for unknown in ("unet", "clip", "secrets", "%2e%2e%2fuser"):
            assert await is_missing(await client.get(URL(f"/models/{unknown}", encoded=True))), unknown

    with_client(tmp_path, use)


def test_libraries_see_folders_and_files(tmp_path: Path) -> None:
    for name in ("models/clip/b.safetensors", "models/text_encoders/sub/a.pt", "models/text_encoders/.git/x.pt"):
        put(tmp_path / name, b"12345")
        os.utime(tmp_path / name, (1000, 2000))
    (tmp_path / "models" / "clip" / "gone.pt").symlink_to(tmp_path / "nowhere")

    async def use(client: Client) -> None:
        folders = await read(client, "/experiment/models")
        assert [folder["name"] for folder in folders] == [
            kind for kind in CONTRACT_ORDER if kind not in {"configs", "custom_nodes"}
        ]
        encoders = next(folder["folders"] for folder in folders if folder["name"] == "text_encoders")
        assert encoders[:2] == [str(tmp_path / "models" / "text_encoders"), str(tmp_path / "models" / "clip")]
        first, second = await read(client, "/experiment/models/text_encoders")
        assert {**first, "created": 0} == {
            "name": str(Path("sub/a.pt")), "pathIndex": 0, "modified": 2000.0, "created": 0, "size": 5
        }  # fmt: skip
        assert (second["name"], second["pathIndex"]) == ("b.safetensors", 1)
        assert await is_missing(await client.get("/experiment/models/unet"))
        assert await is_missing(await client.get("/experiment/models/custom_nodes"))

    with_client(tmp_path, use)


# -- previews


def test_a_preview_is_the_picture_beside_the_model_or_the_first_within_it(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "loras"
    covers = json.dumps([base64.b64encode(png("green")).decode(), "???"])
    for name in ("beside", "marked", "within", "sub/both [1]"):
        put(folder / f"{name}.safetensors", safetensors({"__metadata__": {"ssmd_cover_images": covers}}))
    put(folder / "beside.png", png("red"))
    put(folder / "marked.preview.png", png("blue"))
    put(folder / "sub" / "both [1].png", png("red"))
    put(folder / "sub" / "both [1].preview.png", png("blue"))
    expected = {"beside": "red", "marked": "blue", "within": "green", "sub/both [1]": "red"}

    async def use(client: Client) -> None:
        for name, colour in expected.items():
            answer = await client.get(f"/experiment/models/preview/loras/0/{name}.safetensors")
            assert (answer.status, answer.headers["Content-Type"]) == (200, "image/webp"), await answer.text()
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            with Image.open(BytesIO(await answer.read())) as picture:
                assert picture.format == "WEBP"
                seen, wanted = (
                    picture.convert("RGB").getpixel((4, 4)),
                    Image.new("RGB", (1, 1), colour).getpixel((0, 0)),
                )
            assert isinstance(seen, tuple)
            assert isinstance(wanted, tuple)
            assert all(abs(a - b) < 40 for a, b in zip(seen, wanted, strict=True)), name
            known = {"If-None-Match": answer.headers["ETag"]}
            again = await client.get(f"/experiment/models/preview/loras/0/{name}.safetensors", headers=known)
            assert again.status == 304

    with_client(tmp_path, use)


@pytest.mark.parametrize(
    "covers",
    [None, "", "no JSON", "{}", "[]", "[1]", '["***"]', '["aGVsbG8="]', "[" * 5000, 5, '[{"a": 1}]', '["\\ud800"]'],
)
def test_a_model_whose_covers_are_odd_has_no_preview(tmp_path: Path, covers: object) -> None:
    put(tmp_path / "models/loras/a.safetensors", safetensors({"__metadata__": {"ssmd_cover_images": covers}}))

    async def use(client: Client) -> None:
        assert await is_missing(await client.get("/experiment/models/preview/loras/0/a.safetensors"))

    with_client(tmp_path, use)


def test_there_is_no_preview_of_what_is_no_model(tmp_path: Path) -> None:
    loras = tmp_path / "models" / "loras"
    put(loras / "a.safetensors", b"\xff" * 100)
    put(loras / "b.safetensors")
    put(loras / "b.png", b"<svg/>")
    put(loras / "c.png", png("red"))
    for folder in (tmp_path, tmp_path / "models", tmp_path / "models" / "vae"):
        put(folder / "secret.safetensors")
        put(folder / "secret.png", png("red"))

    async def use(client: Client) -> None:
        for path in (
            "loras/0/a.safetensors", "loras/0/b.safetensors", "loras/0/c.safetensors", "loras/0/",
            "loras/99/a.safetensors",
            "loras/-1/a.safetensors", "loras/x/a.safetensors", "loras/%C2%B2/a.safetensors", f"loras/{'9' * 5000}/a",
            "unet/0/a.safetensors", "none/0/a.safetensors", f"loras/0/{'x' * 5000}", "loras/0/a%00.safetensors",
            "loras/0/..%2fvae%2fsecret.safetensors", "loras/0/%2e%2e%2f%2e%2e%2fsecret.safetensors",
            f"loras/0/{str(tmp_path).replace('/', '%2f')}%2fsecret.safetensors",
        ):  # fmt: skip
            answer = await client.get(URL(f"/experiment/models/preview/{path}", encoded=True))
            assert await is_missing(answer), path

    with_client(tmp_path, use)


# -- metadata


def test_metadata_comes_as_it_is(tmp_path: Path) -> None:
    metadata = {"ss_network_dim": "16", "名": "值", "nested": {"a": [1]}}
    put(tmp_path / "models/loras/sub/a.safetensors", safetensors({"__metadata__": metadata, "w": {}}) + bytes(100))

    async def use(client: Client) -> None:
        assert await read(client, "/view_metadata/loras", filename="sub/a.safetensors") == metadata
        assert await read(client, "/api/view_metadata/loras", filename="sub/a.safetensors") == metadata

    with_client(tmp_path, use)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234567",
        struct.pack("<Q", 2**63),
        safetensors(b'{"__metadata__": {"a": "b"}}'.ljust(2**20 + 1)),
        struct.pack("<Q", 50) + b'{"__metadata__": {"a": "b"}}',
        safetensors(b"no JSON"),
        safetensors(b"[" * 2**19),
        safetensors(b'{"__metadata__":' * 200 + b"1" + b"}" * 200),
        safetensors(b"\xff\xfe"),
        safetensors(b'{"__metadata__": ' + b"9" * 5000 + b"}"),
        safetensors([]),
        safetensors({"w": {}}),
        safetensors({"__metadata__": "text"}),
    ],
)
def test_a_file_without_readable_metadata_is_404(tmp_path: Path, content: bytes) -> None:
    put(tmp_path / "models/vae/a.safetensors", content)

    async def use(client: Client) -> None:
        assert await is_missing(await client.get("/view_metadata/vae?filename=a.safetensors"))

    with_client(tmp_path, use)


def test_a_header_of_just_one_megabyte_is_read(tmp_path: Path) -> None:
    text = b'{"__metadata__": {"a": "b"}}'.ljust(2**20)
    put(tmp_path / "models/vae/a.safetensors", safetensors(text))

    async def use(client: Client) -> None:
        assert await read(client, "/view_metadata/vae", filename="a.safetensors") == {"a": "b"}

    with_client(tmp_path, use)


def test_only_weights_files_have_metadata(tmp_path: Path) -> None:
    whole = safetensors({"__metadata__": {"secret": "x"}})
    for name in ("models/vae/a.ckpt", "models/vae/a.pkl", "secret.safetensors", "models/secret.safetensors"):
        put(tmp_path / name, whole)
    (tmp_path / "models/vae/folder.safetensors").mkdir()
    os.mkfifo(tmp_path / "models/vae/pipe.safetensors")

    async def use(client: Client) -> None:
        for folder, name in (
            ("vae", "a.ckpt"), ("vae", "a.pkl"), ("vae", ""), ("vae", "../secret.safetensors"),
            ("none", "a.safetensors"),
            ("vae", "folder.safetensors"), ("vae", "pipe.safetensors"), ("vae", f"{'x' * 5000}.safetensors"),
            ("vae", "\0.safetensors"), ("vae", str(tmp_path / "secret.safetensors")),
        ):  # fmt: skip
            assert await is_missing(await client.get(f"/view_metadata/{folder}", params={"filename": name})), name
        assert await is_missing(await client.get("/view_metadata/vae"))

    with_client(tmp_path, use)


pieces = st.sampled_from(["..", "/", "%2f", "%2e%2e", "\\", "secret", ".safetensors", ".png", "a", "%00", "~", "é"])


def test_no_name_however_hostile_reaches_a_model_elsewhere(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "models", tmp_path / "user"):
        put(folder / "secret.safetensors", safetensors({"__metadata__": {"secret": "x"}}))
        put(folder / "secret.png", png("red"))
    put(tmp_path / "models/vae/a.safetensors", safetensors({}))
    names: list[str] = []

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(pieces, min_size=1, max_size=8).map("".join))
    def collect(name: str) -> None:
        names.append(name)

    collect()

    async def use(client: Client) -> None:
        for name in names:
            for path in (f"/view_metadata/vae?filename={name}", f"/experiment/models/preview/vae/0/{name}"):
                answer = await client.get(URL(path, encoded=True))
                assert answer.status in {400, 404}, path

    with_client(tmp_path, use)
