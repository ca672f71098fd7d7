"""Holes that were published of servers of this kind, each tried here and refused. The ids are those of the CVE list.

docs/threat-model.md says what each of them was.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from yarl import URL

from tests.web.server import Client, serving

SCRIPT = b"<script>alert(document.domain)</script>"
PAGES = {  # what a browser would run, by the name that it comes under
    "a.html": b"<!doctype html>" + SCRIPT,
    "a.HTM": b"<!doctype html>" + SCRIPT,
    "a.xhtml": b'<html xmlns="http://www.w3.org/1999/xhtml">' + SCRIPT + b"</html>",
    "a.xht": b'<html xmlns="http://www.w3.org/1999/xhtml">' + SCRIPT + b"</html>",
    "a.svg": b'<svg xmlns="http://www.w3.org/2000/svg">' + SCRIPT + b"</svg>",
    "a.svgz": b"\x1f\x8b\x08\x00",
    "a.xml": b'<?xml version="1.0"?><?xml-stylesheet href="javascript:alert(1)"?><a/>',
    "a.xsl": b'<xsl:stylesheet version="1.0"/>',
    "a.mhtml": b"MIME-Version: 1.0\r\n",
    "a.js": b"alert(1)",
    "a.mjs": b"alert(1)",
    "a.css": b"*{background:url(//evil.example)}",
    "a.pdf": b"%PDF-1.4",
    "a.swf": b"FWS\x08",
    "a.htm .png": b"<!doctype html>" + SCRIPT,
    "a.png": b"<!doctype html>" + SCRIPT,
    "a.jpg": b'<svg xmlns="http://www.w3.org/2000/svg">' + SCRIPT + b"</svg>",
    "a.gif.html": b"GIF89a=0//" + SCRIPT,
    "a.json": b"<!doctype html>" + SCRIPT,
    "a.txt": b"<!doctype html>" + SCRIPT,
    "a.webp": b"\0" + SCRIPT,
    "a": b"<!doctype html>" + SCRIPT,
}
SHOWN = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/tiff", "image/avif")
OUTSIDE = (
    "../secret.png", "../../secret.png", "..\\secret.png", "a/../../secret.png", "/etc/passwd", "//etc/passwd",
    "C:\\secret.png", "\\\\host\\share\\a.png", "%2e%2e%2fsecret.png", "..%2fsecret.png", "....//secret.png",
    "../secret.png [input]", "secret.png [../]", "../input/../secret.png", "a\0.png", "~/secret.png",
    "../custom_nodes/a.py", "file:///etc/passwd", "./../secret.png", "..;/secret.png", "\uff0e\uff0e/secret.png",
)  # fmt: skip
SECRET = b"what nobody shall see 1f8b08"


def ask(tmp_path: Path, work: Callable[[Client], Coroutine[Any, Any, None]], **settings: Any) -> None:
    """Run this with a server whose folders lie in a folder beside a secret."""
    base = tmp_path / "base"
    base.mkdir(exist_ok=True)
    for place in (tmp_path, base):
        picture = Image.new("RGB", (1, 1))
        picture.save(place / "secret.png")
        (place / "secret.png").write_bytes((place / "secret.png").read_bytes() + SECRET)
        (place / "secret.txt").write_bytes(SECRET)

    async def run() -> None:
        async with serving(base, **settings) as (client, _):
            await work(client)

    asyncio.run(run())


async def upload(client: Client, name: str, content: bytes, **fields: str) -> tuple[int, Any]:
    parts = [
        (f'name="image"; filename="{name}"', content),
        *((f'name="{key}"', fields[key].encode()) for key in fields),
    ]
    form = b"".join(
        b"--limit\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (head.encode(), body) for head, body in parts
    )
    headers = {"Content-Type": "multipart/form-data; boundary=limit"}
    async with client.post("/upload/image", data=form + b"--limit--\r\n", headers=headers) as answer:
        return answer.status, await answer.json()


async def is_harmless(client: Client, url: str | URL) -> None:
    """Whatever is there, a browser shows no more of it than a picture."""
    async with client.get(url) as answer:
        body = await answer.read()
        if answer.status != 200:
            assert answer.status in {400, 403, 404}
            assert answer.content_type == "application/json"
            return
        assert SCRIPT not in body or answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.content_type in {"application/octet-stream", *SHOWN}
        if answer.content_type == "application/octet-stream":
            assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert "allow-scripts" not in answer.headers["Content-Security-Policy"]


def files(folder: Path) -> set[str]:
    """All files below a folder but those of the queue."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("queue.sqlite"))
    return {str(path.relative_to(folder)) for path in found}


# ── stored scripts ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", PAGES)
def test_cve_2024_10099_and_cve_2025_6092_an_uploaded_page_is_never_run(tmp_path: Path, name: str) -> None:
    async def work(client: Client) -> None:
        for where in ("input", "output", "temp"):
            status, answer = await upload(client, name, PAGES[name], type=where)
            assert status in {200, 400, 413, 415}
            if status == 200:
                for options in ("", "&preview=webp", "&channel=rgb", "&channel=a", "&preview=text/html"):
                    query = URL.build(path="/view", query={"filename": answer["name"], "type": where})
                    await is_harmless(client, f"{query}{options}")

    ask(tmp_path, work)


@pytest.mark.parametrize("name", PAGES)
def test_cve_2026_56670_a_page_that_lies_in_a_folder_is_never_run(tmp_path: Path, name: str) -> None:
    async def work(client: Client) -> None:
        for where in ("input", "output", "temp"):
            folder = tmp_path / "base" / where
            folder.mkdir(exist_ok=True)
            (folder / name).write_bytes(PAGES[name])
            for twin in ("", "/api"):
                for options in ({}, {"preview": "webp;90"}, {"channel": "rgba"}, {"channel": "a"}):
                    query = {"filename": name, "type": where, **options}
                    await is_harmless(client, URL.build(path=f"{twin}/view", query=query))

    ask(tmp_path, work)


@pytest.mark.parametrize("name", PAGES)
def test_cve_2026_56672_a_page_among_a_users_files_is_never_run(tmp_path: Path, name: str) -> None:
    async def work(client: Client) -> None:
        url = URL(f"/userdata/{name}".replace(" ", "%20"), encoded=True)
        async with client.post(url, data=PAGES[name]) as answer:
            assert answer.status in {200, 400, 403, 415}
        await is_harmless(client, url)
        folder = tmp_path / "base" / "user" / "default"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(PAGES[name])  # however it came there
        for twin in ("", "/api"):
            await is_harmless(client, URL(f"{twin}/userdata/{name}".replace(" ", "%20"), encoded=True))

    ask(tmp_path, work)


# ── names that lead elsewhere ─────────────────────────────────────────────────────────────────────────────────────────


async def shows_nothing(client: Client, url: str | URL) -> None:
    async with client.get(url) as answer:
        assert SECRET not in await answer.read()
        assert answer.status in {400, 403, 404}


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_lead_outside_show_nothing(tmp_path: Path, name: str) -> None:
    async def work(client: Client) -> None:
        for where in ("input", "output", "temp", "..", "", "models", "../input"):
            await shows_nothing(client, URL.build(path="/view", query={"filename": name, "type": where}))
            query = {"filename": "secret.png", "type": where, "subfolder": name.rpartition("/")[0] or ".."}
            await shows_nothing(client, URL.build(path="/view", query=query))
        for folder in ("loras", "checkpoints", "custom_nodes", "nothing"):
            await shows_nothing(client, URL.build(path=f"/view_metadata/{folder}", query={"filename": name}))

    ask(tmp_path, work)


@pytest.mark.parametrize("name", [*OUTSIDE, "../../../../../../../etc/passwd", "x/../../../secret"])
def test_cve_2026_56671_previews_of_models_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    async def work(client: Client) -> None:
        loras = tmp_path / "base" / "models" / "loras"
        loras.mkdir(parents=True)
        (loras / "good.safetensors").write_bytes(b"")
        for twin in ("", "/api"):
            for folder, index in (("loras", "0"), ("loras", "-1"), ("loras", "9"), ("..", "0"), ("custom_nodes", "0")):
                plain = f"{twin}/experiment/models/preview/{folder}/{index}/{name}".replace("\0", "%00")
                await shows_nothing(client, URL(plain.replace(" ", "%20"), encoded=True))
                quoted = URL.build(path=name).raw_path.replace("/", "%2F").replace("..", "%2E%2E")
                url = f"{twin}/experiment/models/preview/{folder}/{index}/{quoted}"
                await shows_nothing(client, URL(url, encoded=True))

    ask(tmp_path, work)


@pytest.mark.parametrize("name", OUTSIDE)
def test_cve_2026_56673_a_workflow_cannot_load_pictures_from_elsewhere(tmp_path: Path, name: str) -> None:
    pytest.importorskip("torch")
    from graph.registry import Registry
    from nodes import image

    async def work(client: Client) -> None:
        for annotated in (name, f"{name} [output]", f"{name} [temp]", f"{name}[input]"):
            prompt = {
                "1": {"class_type": "LoadImage", "inputs": {"image": annotated}},
                "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "copy"}},
            }
            async with client.post("/prompt", json={"prompt": prompt}) as answer:
                found = await answer.json()
                assert answer.status == 400, found
                assert SECRET.decode() not in json.dumps(found)
                assert found["node_errors"]["1"]["errors"]
        assert not any((tmp_path / "base" / "output").glob("*"))

    ask(tmp_path, work, registry=Registry.scan_module(image))


@pytest.mark.parametrize("prefix", ["../copy", "/tmp/copy", "a/../../copy", "a\0", "../../custom_nodes/a"])
def test_cve_2026_56673_a_workflow_cannot_save_pictures_elsewhere(tmp_path: Path, prefix: str) -> None:
    pytest.importorskip("torch")
    from graph.registry import Registry
    from nodes import image

    async def work(client: Client) -> None:
        Image.new("RGB", (8, 8)).save(tmp_path / "base" / "input" / "good.png")
        before = files(tmp_path)
        prompt = {
            "1": {"class_type": "LoadImage", "inputs": {"image": "good.png"}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
        }
        async with client.post("/prompt", json={"prompt": prompt}) as answer:
            assert answer.status == 400, await answer.text()
        assert files(tmp_path) == before

    (tmp_path / "base" / "input").mkdir(parents=True)
    ask(tmp_path, work, registry=Registry.scan_module(image))


@pytest.mark.parametrize("name", [*OUTSIDE, "a/b.png", ".png", "..", "con.png"])
def test_cve_2024_21575_uploads_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    good = BytesIO()
    Image.new("RGB", (8, 8)).save(good, "png")

    async def work(client: Client) -> None:
        before = files(tmp_path)
        for fields in ({}, {"type": "temp"}, {"type": "output", "overwrite": "true"}):
            status, answer = await upload(client, name, good.getvalue(), **fields)
            assert status in {200, 400, 403, 415}, answer
        for subfolder in ("..", "../..", "a/../..", "/tmp", "..\\..", "a\0", name):
            for kind in ("input", "temp", "../input", "models", "custom_nodes", ""):
                fields = {"type": kind, "subfolder": subfolder, "overwrite": "true"}
                status, answer = await upload(client, "secret.png", good.getvalue(), **fields)
                assert status in {200, 400, 403, 415}, answer
        new = files(tmp_path) - before
        assert all(each.split("/")[:2] in (["base", where] for where in ("input", "output", "temp")) for each in new), (
            new
        )
        for place in (tmp_path, tmp_path / "base"):
            assert (place / "secret.png").read_bytes().endswith(SECRET)

    ask(tmp_path, work)


@pytest.mark.parametrize("name", [*OUTSIDE, "..", ".", "../bob/a.json", "..%2f..%2fcustom_nodes%2fa.py"])
def test_files_of_users_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    async def work(client: Client) -> None:
        before = files(tmp_path)
        raw = name.replace("\0", "%00").replace(" ", "%20").replace("\\", "%5C").replace("/", "%2F")
        for each in {raw, raw.replace("..", "%2E%2E"), raw.replace("%2F", "/")}:
            url = URL(f"/userdata/{each}", encoded=True)
            await shows_nothing_or_lists(client, url)
            for ask in (client.post(url, data=b"{}"), client.delete(url)):
                async with ask as answer:
                    assert answer.status in {200, 204, 400, 403, 404, 405, 409, 413, 415}
            for source, target in ((each, "good.json"), ("good.json", each)):
                async with client.post(URL(f"/userdata/{source}/move/{target}", encoded=True)) as answer:
                    assert answer.status in {200, 400, 403, 404, 405, 409}
        for route, key in (("/userdata", "dir"), ("/v2/userdata", "path")):
            async with client.get(route, params={key: name, "recurse": "true"}) as answer:
                assert "secret" not in await answer.text() or answer.status in {400, 403, 404}
        inside = {each for each in files(tmp_path) if each.startswith("base/user/default/")}
        assert files(tmp_path) - inside == before

    ask(tmp_path, work)


async def shows_nothing_or_lists(client: Client, url: URL) -> None:
    async with client.get(url) as answer:
        assert SECRET not in await answer.read()
        assert answer.status in {200, 400, 403, 404}


# ── other sites ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_cve_2026_56674_a_page_without_origin_changes_nothing(tmp_path: Path) -> None:
    """A sandboxed frame, a file or a redirect has the origin "null"."""

    async def work(client: Client) -> None:
        before = files(tmp_path)
        for path in ("/prompt", "/queue", "/history", "/interrupt", "/free", "/settings", "/upload/image",
                     "/userdata/a.json", "/api/prompt", "/jobs", "/login"):  # fmt: skip
            for kind in ("application/json", "text/plain", "multipart/form-data; boundary=a"):
                headers = {"Origin": "null", "Content-Type": kind}
                async with client.post(path, headers=headers, data=b"{}") as answer:
                    assert answer.status == 403
                    assert "Access-Control-Allow-Origin" not in answer.headers
        assert files(tmp_path) == before

    ask(tmp_path, work)


def test_ghsa_5xxr_jvhm_jxmj_a_page_of_another_site_queues_nothing(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        prompt = {"prompt": {"1": {"class_type": "Toy", "inputs": {"name": "a", "value": 1}}}}
        for origin in ("https://evil.example", "http://localhost:3000", "http://127.0.0.1"):
            for kind in ("application/json", "text/plain"):
                headers = {"Origin": origin, "Content-Type": kind, "Sec-Fetch-Site": "same-site"}
                async with client.post("/prompt", headers=headers, data=json.dumps(prompt)) as answer:
                    assert answer.status == 403
        async with client.get("/prompt") as answer:
            assert (await answer.json())["exec_info"]["queue_remaining"] == 0

    ask(tmp_path, work)
