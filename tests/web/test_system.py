"""/system_stats and /features, in the shape that front-ends check."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from graph.library import DeviceFacts, Surroundings
from tests.web.server import serving
from web.routes.system import without_values


async def read(base: Path, path: str, **options: Any) -> Any:
    async with serving(base, **options) as (client, _):
        answer = await client.get(path)
        assert answer.status == 200
        return await answer.json()


def test_system_stats_have_what_front_ends_ask_for(tmp_path: Path) -> None:
    stats = asyncio.run(read(tmp_path, "/api/system_stats"))
    system = stats["system"]
    texts = {"os", "python_version", "pytorch_version", "comfyui_version"}
    assert all(isinstance(system[name], str) for name in texts)
    assert system["comfyui_version"].count(".") == 2
    assert system["embedded_python"] is False
    assert system["python_version"] == sys.version
    assert system["ram_total"] == psutil.virtual_memory().total
    assert 0 < system["ram_free"] <= system["ram_total"]
    assert None not in system.values()
    assert stats["devices"] == []  # of toys


def test_system_stats_tell_devices_and_versions(tmp_path: Path) -> None:
    facts = DeviceFacts("cuda:1 Some Card", "cuda", 1, 100, 60, 30, 10)
    around = Surroundings(devices=lambda: [facts], versions={"torch": "2.13.0", "other": "1"})
    stats = asyncio.run(read(tmp_path, "/system_stats", surroundings=around))
    assert stats["devices"] == [
        {"name": "cuda:1 Some Card", "type": "cuda", "index": 1, "vram_total": 100, "vram_free": 60,
         "torch_vram_total": 30, "torch_vram_free": 10}
    ]  # fmt: skip
    assert stats["system"]["pytorch_version"] == "2.13.0"
    assert stats["system"]["versions"] == {"torch": "2.13.0", "other": "1"}


def test_no_value_of_the_command_line_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "very-secret-token"
    arguments = ["/home/anna/main.py", "serve", "--token", secret, f"--token=bert={secret}", "--port", "8188"]
    monkeypatch.setattr(sys, "argv", arguments)
    stats = asyncio.run(read(tmp_path, "/system_stats"))
    assert stats["system"]["argv"] == ["main.py", "--token", "--token", "--port"]
    assert secret not in str(stats)
    assert without_values([]) == []


def test_features_tell_the_limit_of_uploads(tmp_path: Path) -> None:
    features = asyncio.run(read(tmp_path, "/features", upload_most_bytes=12345))
    assert features == {"supports_preview_metadata": True, "max_upload_size": 12345}
