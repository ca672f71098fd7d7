"""What the OpenAPI document says is so: cases made from it, good and bad, against a server in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.graph.scheduler_toys import PATIENCE_S, toy

HOUSE = Path(__file__).resolve().parents[2]
EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", "6"))  # good and bad ones of each operation; more by hand
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SERVE = """
import asyncio, sys
from pathlib import Path
from aiohttp import web
from graph.library import Session, Surroundings
from graph.paths import Paths
from tests.graph.scheduler_toys import World
from tests.graph.toys import Gate, Log
from tests.web.server import toy_classes
from web.app import make_app
from web.connections import runner
from web.opening import services
from web.settings import Settings

async def serve(base):
    around = Surroundings(resources=[Log(), Gate(), World()])
    with Session(toy_classes(), Paths(base), around) as session:
        async with services(session, around, base / "queue.sqlite") as found:
            ready = asyncio.get_running_loop().create_future()
            ready.set_result(found)
            server = runner(make_app(Settings(base), ready))
            await server.setup()
            await web.TCPSite(server, "127.0.0.1", 0).start()
            print("http://127.0.0.1:%d" % server.addresses[0][1], flush=True)
            await asyncio.to_thread(sys.stdin.read)
            await server.cleanup()

asyncio.run(serve(Path(sys.argv[1])))
"""
PROMPTS = {"done": toy("good"), "failed": toy("bad", -1), "waiting": toy("later")}
THERE: dict[str, list[str]] = {  # values of parameters that lead somewhere
    "job_id": list(PROMPTS),
    "class_type": ["Add", "Show"],
    "folder": ["checkpoints", "loras"],
    "file": ["a.json", "workflows/b.json", "index.json"],
    "dest": ["c.json"],
    "dir": ["workflows", "."],
    "kind": ["input", "output"],
    "path_index": ["0"],
    "id": ["Comfy.Test"],
    "filename": ["kept_00001_.txt", "tiny.safetensors"],
    "type": ["input", "output"],
    "status": ["pending,failed", "completed"],
    "q": ["good"],
}
HAPPY: dict[str, dict[str, Any]] = {  # what chance seldom finds
    "POST /prompt": {"body": {"prompt": PROMPTS["done"]}},
    "POST /workflow/convert": {"body": {"workflow": PROMPTS["done"], "to": "editor"}},
    "POST /workflow/read": {"body": json.dumps(PROMPTS["done"]).encode(), "media_type": "application/octet-stream"},
    "PATCH /jobs/{job_id}": {"path_parameters": {"job_id": "waiting"}, "body": {"front": True}},
    "POST /jobs/{job_id}/retry": {"path_parameters": {"job_id": "failed"}},
    "GET /jobs/{job_id}/explain": {"path_parameters": {"job_id": "waiting"}},
    "GET /userdata": {"query": {"dir": "workflows"}},
    "GET /view": {"query": {"filename": "kept_00001_.txt"}},
    "GET /view_metadata/{folder}": {
        "path_parameters": {"folder": "checkpoints"},
        "query": {"filename": "tiny.safetensors"},
    },
}
NEVER_SUCCEED = {  # here, since there is nothing for them
    "POST /upload/mask",
    "GET /ws",
    "POST /users",
    "GET /extensions/{pack}/{path}",
    "GET /workflow_templates/{pack}/{file}",
    "GET /experiment/models/preview/{folder}/{path_index}/{filename}",
}


class Server:
    """A server with jobs in several states."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False

    def fill(self) -> None:
        """Jobs and files as THERE has them, whatever was done to them before."""
        self.ask("POST", "/jobs/resume")
        for job_id, prompt in PROMPTS.items():
            self.ask("DELETE", f"/jobs/{job_id}")
            if job_id == "waiting":
                self.ask("POST", "/jobs/pause")
            assert self.ask("POST", "/prompt", json={"prompt": prompt, "prompt_id": job_id}).ok
            if job_id != "waiting":  # a stream ends with the job
                self.ask("GET", f"/jobs/{job_id}/events", headers={"Accept": "text/event-stream"})
        for file in ("a.json", "workflows%2Fb.json"):
            assert self.ask("POST", f"/userdata/{file}", data=b"{}").ok

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        return self.session.request(method, self.url + path, timeout=PATIENCE_S, **more)


def without_tuples(schema: Any) -> Any:
    """The same, but of tuples only that each item is one of those: the tool knows none within answers."""
    if isinstance(schema, list):
        return [without_tuples(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: without_tuples(each) for name, each in schema.items()}
    if "prefixItems" in found:
        found["items"] = {"anyOf": found.pop("prefixItems")}
    return found


def takes_more(operation: dict[str, Any]) -> bool:
    """Whether it takes a body, or parameters beside its path."""
    return "requestBody" in operation or any(each["in"] == "query" for each in operation.get("parameters", ()))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "models" / "checkpoints").mkdir(parents=True)
    header = b'{"__metadata__": {"title": "tiny"}}'
    (folder / "models" / "checkpoints" / "tiny.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    command = [sys.executable, "-c", SERVE, str(folder)]
    environment = os.environ | {"PYTHONPATH": str(HOUSE)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        yield Server(process.stdout.readline().strip())
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
def test_every_operation_answers_as_documented(server: Server, mode: GenerationMode) -> None:
    document = without_tuples(server.ask("GET", "/openapi.json").json())
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=server.url)
    operations = [found.ok() for found in schema.get_all_operations()]
    if mode is GenerationMode.NEGATIVE:  # of any path, any text is as good as another
        operations = [each for each in operations if takes_more(document["paths"][each.path][each.method])]
    wrong: list[str] = []
    succeeded: set[str] = set()

    def send(case: Any) -> None:
        answer = case.call(session=server.session, allow_redirects=False, timeout=PATIENCE_S)
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code < 400:
            succeeded.add(case.operation.label)

    server.fill()
    for operation in operations:
        if operation.path.startswith(("/jobs", "/history", "/queue", "/userdata")):
            server.fill()

        @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def check(case: Any, data: st.DataObject) -> None:
            for values in (case.path_parameters, case.query):
                for name in [each for each in values or () if each in THERE]:
                    values[name] = data.draw(st.sampled_from([*THERE[name], values[name]]))
            send(case)

        try:
            if operation.label in HAPPY:
                send(operation.Case(**HAPPY[operation.label]))
            check()
        except Unsatisfiable:  # any body, any text is as good as another
            assert mode is GenerationMode.NEGATIVE
        except Exception as error:
            inner = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
            wrong += [f"{operation.label}: {each}" for each in inner]
    assert wrong == []
    if mode is GenerationMode.POSITIVE:
        assert len(operations) > 40
        assert {each.label for each in operations} - succeeded <= NEVER_SUCCEED
