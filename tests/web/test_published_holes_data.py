"""Published holes, continued: configuration and code, pickles and names of weights, and what needs no token."""

import asyncio
import json
import pickle
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from yarl import URL

from tests.web.server import Client
from tests.web.test_published_holes import ask, files, upload

# ── configuration ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "name",
    ["default%2FComfyUI-Manager%2Fconfig.ini", "ComfyUI-Manager%2Fconfig.ini", "config.ini", "__manager%2Fconfig.ini",
     "..%2F__manager%2Fconfig.ini", "comfy.settings.json", "Comfy.Settings.JSON",
     "workflows%2F..%2Fcomfy.settings.json",
     "a.py", "a.pth", "a.pyc", "a.so", "a.sh", ".bashrc", "a.toml", "extra_model_paths.yaml", "requirements.in",
     "__init__.py", "a.cfg", "a.pkl", "a.db", "users.json%00.png", "comfy.settings.json.", "comfy.settings.json%20"],
)  # fmt: skip
def test_cve_2025_67303_no_configuration_and_no_code_is_written_as_a_users_file(tmp_path: Path, name: str) -> None:
    async def work(client: Client) -> None:
        before = files(tmp_path)
        for twin in ("", "/api"):
            url = URL(f"{twin}/userdata/{name}?overwrite=true", encoded=True)
            async with client.post(url, data=b"security_level = weak") as answer:
                assert answer.status in {400, 403, 404, 405, 415}
            async with client.post("/userdata/good.json", data=b"security_level = weak") as answer:
                assert answer.status == 200
            async with client.post(URL(f"{twin}/userdata/good.json/move/{name}", encoded=True)) as answer:
                assert answer.status in {400, 403, 404, 405, 415}
        assert files(tmp_path) - before == {"base/user/default/good.json"}

    ask(tmp_path, work)


def test_cve_2025_67303_no_uploaded_file_is_configuration_or_code(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        for name in (
            "config.ini",
            "a.py",
            "a.pth",
            "a.toml",
            "extra_model_paths.yaml",
            "a.so",
            "a.sh",
            ".env",
            "a.exe",
        ):
            for kind in ("input", "output", "temp"):
                status, _ = await upload(client, name, b"security_level = weak", type=kind)
                assert status in {400, 415}, name

    ask(tmp_path, work)


@pytest.mark.parametrize("line_break", ["\r\n", "\n", "\r", "\u2028", "\x85", "\x0b"])
def test_cve_2026_22777_line_breaks_stay_within_values(tmp_path: Path, line_break: str) -> None:
    """Settings are one JSON object whatever their values hold, and no name reaches a header or a log as it is."""
    value = f"strong{line_break}security_level = weak{line_break}Set-Cookie: a=b"

    async def work(client: Client) -> None:
        async with client.post("/settings", json={"level": value, value: 1}) as answer:
            assert answer.status == 200
        async with client.post(URL.build(path=f"/settings/{value}"), json=value) as answer:
            assert answer.status == 200
        async with client.get("/settings") as answer:
            found = await answer.json()
        assert found["level"] == found[value] == value
        kept = tmp_path / "base" / "user" / "default" / "comfy.settings.json"
        lines = kept.read_bytes().splitlines()
        assert not any(line.strip().startswith((b"security_level", b"Set-Cookie")) for line in lines)
        assert json.loads(kept.read_text("utf-8"))["level"] == value

        name = f"a{line_break}Set-Cookie: a=b.png"
        (tmp_path / "base" / "output").mkdir(exist_ok=True)
        Image.new("RGB", (1, 1)).save(tmp_path / "base" / "output" / name, "png")
        for query in ({"filename": name}, {"filename": name, "preview": "webp"}, {"filename": "b", "type": value}):
            async with client.get("/view", params=query) as answer:
                assert answer.status in {200, 400, 404}
                assert "Set-Cookie" not in answer.headers
        for url in (URL.build(path=f"/userdata/{name}"), URL.build(path=f"/extensions/{name}")):
            async with client.get(url) as answer:
                assert answer.status in {400, 403, 404}
                assert "Set-Cookie" not in answer.headers

    ask(tmp_path, work)


# ── pickles and names of weights ──────────────────────────────────────────────────────────────────────────────────────


class Trap:
    """Unpickled, it writes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (Path.write_text, (self.marker, "code was run"))


def traps(marker: Path) -> dict[str, bytes]:
    """The same trap in all forms in which weights come."""
    import torch

    found = {
        "plain": pickle.dumps({"state_dict": Trap(marker)}),
        "old protocol": pickle.dumps(Trap(marker), protocol=0),
    }
    for name, is_new in (("zip", True), ("legacy", False)):
        file = BytesIO()
        torch.save(
            {"state_dict": {"a": torch.zeros(1)}, "b": Trap(marker)}, file, _use_new_zipfile_serialization=is_new
        )
        found[name] = file.getvalue()
    return found


def test_cve_2026_68771_no_pickle_can_be_uploaded(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        for name in ("shard_0001.pkl", "a.pickle", "a.pt", "a.pth", "a.ckpt", "a.bin", "a.joblib", "a.npy", "a.npz"):
            for kind in ("input", "output", "temp"):
                status, answer = await upload(client, name, pickle.dumps({}), type=kind, subfolder="set")
                assert status == 415, answer
        assert not [each for each in files(tmp_path) if "shard" in each]

    ask(tmp_path, work)


@pytest.mark.parametrize("form", ["plain", "old protocol", "zip", "legacy"])
@pytest.mark.parametrize("ending", [".ckpt", ".pt", ".pth", ".bin", ".pkl", ".safetensors"])
def test_cve_2026_68771_nothing_in_a_file_of_weights_is_run(tmp_path: Path, ending: str, form: str) -> None:
    pytest.importorskip("torch")
    from diffusion.checkpoint import CheckpointError, read_pickle, read_state_dict
    from diffusion.patches.embeddings import read_embedding

    marker = tmp_path / "marker"
    trap = tmp_path / f"trap{ending}"
    trap.write_bytes(traps(marker)[form])
    for read in (read_state_dict, read_pickle, lambda path: read_embedding(path, "clip_l", 768)):
        with pytest.raises(CheckpointError):
            read(trap)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Trap(marker)))  # which it would have been
    assert marker.exists()


@pytest.mark.parametrize("form", ["plain", "zip", "legacy"])
@pytest.mark.parametrize("ending", [".ckpt", ".pt", ".safetensors"])
def test_cve_2026_68771_a_workflow_runs_nothing_in_a_file_of_weights(tmp_path: Path, ending: str, form: str) -> None:
    pytest.importorskip("torch")
    from graph.registry import Registry
    from nodes import conditioning, image, latent, loaders, sampling

    marker = tmp_path / "marker"
    for kind in ("checkpoints", "vae", "embeddings"):
        folder = tmp_path / "base" / "models" / kind
        folder.mkdir(parents=True)
        (folder / f"trap{ending}").write_bytes(traps(marker)[form])

    async def work(client: Client) -> None:
        prompt = {
            "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": f"trap{ending}"}},
            "2": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
            "3": {"class_type": "VAEDecode", "inputs": {"samples": ["2", 0], "vae": ["1", 2]}},
            "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "a"}},
        }
        async with client.post("/prompt", json={"prompt": prompt}) as answer:
            found = await answer.json()
        if "prompt_id" in found:
            async with asyncio.timeout(60):
                while not (entry := await (await client.get(f"/history/{found['prompt_id']}")).json()):
                    await asyncio.sleep(0.02)
            assert entry[found["prompt_id"]]["status"]["status_str"] == "error"

    classes = [
        cls for room in (loaders, latent, image, sampling, conditioning) for cls in Registry.scan_module(room).values()
    ]
    ask(tmp_path, work, registry=Registry(*classes))
    assert not marker.exists()


DOTTED = (
    "__class__.__init__.__globals__.polluted", "control_model.__class__.polluted", "input_blocks.0.__class__.polluted",
    "model.__dict__.polluted", "lora_unet.__class__.__mro__.1.polluted", "first_stage_model.forward", "a.b.__globals__",
    "model.diffusion_model.__class__.forward", "cond_stage_model.transformer.__init__.__globals__.os.environ",
)  # fmt: skip


def test_cve_2025_6107_no_class_is_changed_by_names_of_weights(tmp_path: Path) -> None:
    """Weights go into a network by the network's own names: other names in a file are never looked up in objects."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    from diffusion.checkpoint import read_state_dict
    from diffusion.devices import load
    from diffusion.patches.embeddings import read_embedding

    with torch.device("meta"):
        network = torch.nn.Sequential(torch.nn.Linear(2, 2))
    own = {name: torch.ones(weight.shape) for name, weight in network.state_dict().items()}
    file = tmp_path / "polluted.safetensors"
    save_file({**own, **{name: torch.zeros(4, 768) for name in DOTTED}}, file)
    classes = [torch.nn.Linear, torch.nn.Sequential, torch.nn.Module, object, torch.Tensor, type(read_state_dict)]
    before = [dict(vars(each)) for each in classes]
    load(network, read_state_dict(file), torch.device("cpu"))
    read_embedding(file, "clip_l", 768)
    assert [dict(vars(each)) for each in classes] == before
    assert (network[0].weight == 1).all()
    assert not any("polluted" in vars(each) for each in network.modules())


# ── without a token ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_cve_2023_48022_nobody_submits_jobs_from_elsewhere_without_a_token(tmp_path: Path) -> None:
    from web.security import UnsafeAddress, check_settings
    from web.settings import Settings

    for address in ("0.0.0.0", "::", "192.168.1.2"):
        with pytest.raises(UnsafeAddress):
            check_settings(Settings(tmp_path, addresses=(address,)), insecure=False)

    async def work(client: Client) -> None:
        async with client.post("/prompt", json={"prompt": {}}) as answer:
            assert answer.status == 401

    ask(tmp_path, work, addresses=("0.0.0.0",), tokens={"ann": "the-secret-of-ann"})


@pytest.mark.parametrize(
    "path",
    ["/customnode/install", "/manager/queue/install", "/customnode/install/pip", "/customnode/install/git_url",
     "/easyuse/save/a", "/upload/temp", "/manager/reboot", "/internal/models/download", "/comfy_mtb/actions"],
)  # fmt: skip
def test_cve_2024_21574_and_cve_2026_123790_nothing_installs_packages_or_writes_code(tmp_path: Path, path: str) -> None:
    async def work(client: Client) -> None:
        for twin in ("", "/api"):
            async with client.post(f"{twin}{path}", json={"pip": ["evil"], "name": "a.py"}) as answer:
                assert answer.status in {404, 405}

    ask(tmp_path, work)


# ── the document ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_threat_model_names_the_tests_that_are_there() -> None:
    house = Path(__file__).resolve().parents[2]
    source = "".join(path.read_text("utf-8") for path in (house / "tests" / "web").glob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", (house / "docs" / "threat-model.md").read_text("utf-8")))
    assert named <= set(re.findall(r"def (test_\w+)\(", source))
    assert set(re.findall(r"def (test_(?:cve|ghsa)_\w+)\(", source)) <= named
