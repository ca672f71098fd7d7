"""A client of ComfyUI's API such as people write: HTTP by the standard library, the WebSocket by `websockets`.

It knows the API alone, and nothing of Darkroom.
"""

import io
import json
import struct
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from PIL import Image
from websockets.sync.client import ClientConnection, connect

PATIENCE_S = 120.0
Json = dict[str, Any]


@dataclass
class Heard:
    """What came over the WebSocket, from a job's first message to its last."""

    messages: list[tuple[str, Json]] = field(default_factory=list)  # type and data
    frames: list[bytes] = field(default_factory=list)
    remaining: list[int] = field(default_factory=list)  # what each message of the queue's state said
    order: list[str] = field(default_factory=list)  # types of all of them, "frame" for a binary one

    def of(self, kind: str) -> list[Json]:
        return [data for each, data in self.messages if each == kind]


@dataclass
class Client:
    """Somebody with a client id."""

    url: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    # -- HTTP

    def call(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> tuple[int, bytes, Any]:
        """Status, body and headers of an answer."""
        headers = {"Content-Type": kind} if kind else {}
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers

    def get(self, path: str, **query: object) -> Any:
        status, body, _ = self.call("GET", path + ("?" + urllib.parse.urlencode(query) if query else ""))
        assert status == 200, (path, status, body)
        return json.loads(body)

    def post(self, path: str, body: object = None) -> tuple[int, Any]:
        """Status and content of an answer; None for an empty one."""
        data = b"" if body is None else json.dumps(body).encode()
        status, text, _ = self.call("POST", path, data, "application/json")
        return status, json.loads(text) if text else None

    def queue(self, prompt: Json, **more: object) -> Json:
        """The answer to a prompt that is accepted."""
        status, answer = self.post("/prompt", {"prompt": prompt, "client_id": self.id, **more})
        assert status == 200, answer
        assert set(answer) == {"prompt_id", "number", "node_errors"}
        return dict(answer)

    def view(self, picture: Json, **query: str) -> tuple[bytes, Any]:
        """A file and the headers that it came with."""
        path = "/view?" + urllib.parse.urlencode(
            {key: picture[key] for key in ("filename", "subfolder", "type")} | query
        )
        status, body, headers = self.call("GET", path)
        assert status == 200, (path, status, body)
        return body, headers

    def upload(self, name: str, content: bytes, **fields: str) -> tuple[int, Any]:
        """Status and answer of a picture sent as a form."""
        boundary = uuid.uuid4().hex
        parts = [f'Content-Disposition: form-data; name="{key}"\r\n\r\n{value}' for key, value in fields.items()]
        text = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
        head = (
            f'{text}--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
            "Content-Type: image/png\r\n\r\n"
        )
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        status, answer, _ = self.call("POST", "/upload/image", body, f"multipart/form-data; boundary={boundary}")
        return status, json.loads(answer) if answer else None

    # -- WebSocket

    @contextmanager
    def listening(self, **features: bool) -> Iterator[ClientConnection]:
        """A connection that has exchanged what both sides can do, if features are named."""
        where = f"{self.url.replace('http', 'ws', 1)}/ws?clientId={self.id}"
        with connect(where, max_size=None, open_timeout=PATIENCE_S) as socket:
            first = json.loads(socket.recv(PATIENCE_S))
            assert first["type"] == "status"
            assert first["data"]["sid"] == self.id
            assert isinstance(first["data"]["status"]["exec_info"]["queue_remaining"], int)
            if features:
                socket.send(json.dumps({"type": "feature_flags", "data": features}))
                while (answer := json.loads(socket.recv(PATIENCE_S)))["type"] == "status":
                    pass
                assert answer["type"] == "feature_flags"
                assert answer["data"]["supports_preview_metadata"] is True
                assert answer["data"]["max_upload_size"] > 0
            yield socket

    @staticmethod
    def hear(socket: ClientConnection, prompt_id: str, until: str = "end") -> Heard:
        """All messages up to the end of a job, or up to the first of a type about it."""
        heard = Heard()
        while True:
            message = socket.recv(PATIENCE_S)
            if isinstance(message, bytes):
                heard.frames.append(message)
                heard.order.append("frame")
                continue
            kind, data = (said := json.loads(message))["type"], said["data"]
            heard.order.append(kind)
            if kind == "status":
                heard.remaining.append(data["status"]["exec_info"]["queue_remaining"])
                continue
            if data.get("prompt_id") != prompt_id:
                continue
            heard.messages.append((kind, data))
            if kind == until or (kind == "executing" and data["node"] is None):
                return heard


# ── what binary frames hold ───────────────────────────────────────────────────────────────────────────────────────────


def preview(frame: bytes) -> Image.Image:
    """The picture of a frame without metadata."""
    event, image_type = struct.unpack(">II", frame[:8])
    assert event == 1
    picture = Image.open(io.BytesIO(frame[8:]))
    assert picture.format == {1: "JPEG", 2: "PNG"}[image_type]
    return picture


def preview_with_metadata(frame: bytes) -> tuple[Json, Image.Image]:
    """What a frame says of itself, and its picture."""
    event, length = struct.unpack(">II", frame[:8])
    assert event == 4
    metadata = json.loads(frame[8 : 8 + length])
    picture = Image.open(io.BytesIO(frame[8 + length :]))
    assert metadata["image_type"] == f"image/{(picture.format or '').lower()}"
    return metadata, picture


# ── prompts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def text_to_image(text: str, *, seed: int = 1, steps: int = 3, size: int = 64) -> Json:
    """The workflow of every introduction, in API format."""
    return {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "darkroom-tiny.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": size, "height": size, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["4", 1]}},
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "seed": seed,
                "steps": steps,
                "cfg": 3.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
                "model": ["4", 0],
                "positive": ["6", 0],
                "negative": ["7", 0],
                "latent_image": ["5", 0],
            },
        },
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "plain", "images": ["8", 0]}},
    }


def image_to_image(name: str, text: str) -> Json:
    """The same, beginning from an uploaded picture."""
    prompt = text_to_image(text)
    prompt["5"] = {"class_type": "VAEEncode", "inputs": {"pixels": ["10", 0], "vae": ["4", 2]}}
    prompt["10"] = {"class_type": "LoadImage", "inputs": {"image": name}}
    prompt["3"]["inputs"]["denoise"] = 0.5
    return prompt
