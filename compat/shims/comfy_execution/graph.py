"""ComfyUI's module comfy_execution.graph: the workflow while it runs, as a node sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compat.shims.comfy_execution.graph_utils import ExecutionBlocker, is_link
from graph.context import Context

__all__ = ["DynamicPrompt", "ExecutionBlocker", "is_link"]


class DynamicPrompt:
    """The nodes of a run, those that other nodes made among them. Given to nodes as the hidden input DYNPROMPT."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._live = ctx.live

    def get_node(self, node_id: str) -> dict[str, Any]:
        """A copy of a node in API form. Raises KeyError if there is none of that id."""
        node: Mapping[str, Any] = self._live.node(node_id)
        return {**node, "inputs": dict(node["inputs"])}

    def has_node(self, node_id: str) -> bool:
        """Whether there is a node of that id."""
        try:
            self._live.node(node_id)
        except KeyError:
            return False
        return True

    def all_node_ids(self) -> set[str]:
        """The ids of all nodes."""
        return set(self._live.ids())

    def get_parent_node_id(self, node_id: str) -> str | None:
        """The node that made it; None for one of the workflow as it was sent."""
        return self._live.parent(node_id)

    def get_real_node_id(self, node_id: str) -> str:
        """The node of the workflow as it was sent that it came from."""
        while (parent := self._live.parent(node_id)) is not None:
            node_id = parent
        return node_id

    def get_display_node_id(self, node_id: str) -> str:
        """The node of the workflow as it was sent that stands for it."""
        return self._live.display(node_id)

    def get_original_prompt(self) -> dict[str, Any]:
        """The workflow as it was sent, in API form."""
        return dict(self._ctx.prompt)
