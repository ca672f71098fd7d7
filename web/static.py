"""Static files: what a front-end or a pack of nodes brings along for browsers, and who started the server trusts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from aiohttp import web

from graph.paths import PathError, confined

# By name: a file of another kind is not sent, so that no source, settings or keys of a pack get out.
KINDS: Mapping[str, str] = {
    ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8", ".htm": "text/html; charset=utf-8",
    ".json": "application/json; charset=utf-8", ".map": "application/json; charset=utf-8",
    ".webmanifest": "application/manifest+json", ".wasm": "application/wasm",
    ".txt": "text/plain; charset=utf-8", ".md": "text/markdown; charset=utf-8",
    ".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf", ".otf": "font/otf",
    ".eot": "application/vnd.ms-fontobject",
    ".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif",
    ".webp": "image/webp", ".avif": "image/avif", ".bmp": "image/bmp", ".ico": "image/x-icon",
    ".mp4": "video/mp4", ".webm": "video/webm", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".wav": "audio/wav",
    ".glb": "model/gltf-binary", ".gltf": "model/gltf+json", ".hdr": "image/vnd.radiance",
    ".bin": "application/octet-stream", ".onnx": "application/octet-stream",
}  # fmt: skip
PICTURES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
FILE = web.RequestKey("static_file", Path)  # what was found for a request
NEVER = {"Cache-Control": "no-cache", "Pragma": "no-cache", "Expires": "0"}


def find(root: Path, name: str) -> Path | None:
    """The file of that name below a folder, if it is there and of a kind that is sent. Reads the disk."""
    if "\\" in name or any(not part or part.startswith(".") for part in name.split("/")):
        return None
    try:
        path = confined(root, name, "static")
        return path if path.suffix.lower() in KINDS and path.is_file() else None
    except (PathError, OSError, ValueError):
        return None


def send(path: Path) -> web.FileResponse:
    """A file that find() gave; browsers may keep it as long as they do for ComfyUI."""
    name = path.name.lower()
    headers = {"Content-Type": KINDS[path.suffix.lower()]}
    if name == "index.html":
        headers |= NEVER
    elif name.endswith((".js", ".css")) or (name.startswith("index") and name.endswith(".json")):
        headers["Cache-Control"] = "no-cache"
    elif name.endswith(PICTURES):
        headers["Cache-Control"] = "public, max-age=86400"
    return web.FileResponse(path, headers=headers)


def files_below(root: Path, ending: str) -> Iterator[str]:
    """Names of the files with an ending, relative and with slashes, sorted; hidden ones do not count."""
    for place, folders, names in os.walk(root):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        folder = Path(place).relative_to(root)
        for name in sorted(names):
            if name.endswith(ending) and not name.startswith("."):
                yield (folder / name).as_posix()


# ── a folder at / ─────────────────────────────────────────────────────────────────────────────────────────────────────


class FrontEnd(web.DynamicResource):
    """The files of a front-end's folder at /. A router asks it last, and for what is not there it does not match."""

    def __init__(self, root: Path, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__("/{path:.*}")
        self._root = root
        self._headers = headers  # that all files get
        for method in ("GET", "HEAD"):
            self.add_route(method, self._send)

    async def resolve(self, request: web.Request) -> tuple[web.UrlMappingMatchInfo | None, set[str]]:
        """Whether there is a file for that path."""
        if request.method not in {"GET", "HEAD"}:
            return None, set()
        name = request.rel_url.path.removeprefix("/") or "index.html"
        path = await asyncio.to_thread(find, self._root, name)
        if path is None:
            return None, set()
        request[FILE] = path
        return await super().resolve(request)

    async def _send(self, request: web.Request) -> web.StreamResponse:
        response = send(request[FILE])
        response.headers.update(self._headers)
        return response
