"""Credentials: which names stand for one, and a request without them, as it is stored and compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from graph.jobs import JobRequest

# In words of a name, however it joins them (auth_token_comfy_org, apiKey, X-Api-Key); a count of tokens is none.
PRIVATE = re.compile(
    r"\b(token|password|passwd|passphrase|secret|authorization|authentication|credentials?|cookies?|bearer"
    r"|api ?key|(access|private|secret) ?key)( comfy org)?$"
)
BEGINS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")  # a word within a name such as apiKey
BETWEEN = re.compile(r"[\W_]+")


def is_private(name: object) -> bool:
    """Whether a value of this name is a credential."""
    joined = BEGINS.sub(" ", str(name))
    return PRIVATE.search(BETWEEN.sub(" ", joined).strip().lower()) is not None


def without_credentials(request: JobRequest) -> JobRequest:
    """The same request with no credentials in its extra data, nor in nodes beside their inputs.

    The inputs of nodes stay as they are, whatever their names: the job computes from them, and could not run without.
    """
    prompt = {
        node_id: {
            key: value if key == "inputs" else _without(value) for key, value in node.items() if not is_private(key)
        }
        if isinstance(node, Mapping)
        else node
        for node_id, node in request.prompt.items()
    }
    return replace(request, prompt=prompt, extra_pnginfo=_without(request.extra_pnginfo), extra=_without(request.extra))


def _without(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without(inner) for key, inner in value.items() if not is_private(key)}
    if isinstance(value, list | tuple):
        return [_without(inner) for inner in value]
    return value
