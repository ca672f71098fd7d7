"""Documents written down: in API form, as a workflow of the editor, or as Python source."""

from __future__ import annotations

import json
from typing import Literal

from graph.document import Document
from graph.paths import Paths
from graph.read.editor import is_editor_form
from graph.read.facts import Registered
from graph.registry import Registry
from graph.write.editor import to_editor
from graph.write.python import to_python

Form = Literal["editor", "api", "python"]


def write(document: Document, form: Form, registry: Registry, paths: Paths) -> str:
    """The text of a file that holds the document.

    The editor's form is made from the one that the document carries, if it does: what a person placed there stays.
    Raises DocumentError for a document that is no workflow in API form.
    """
    if form == "python":
        return to_python(document, registry)
    value = dict(document.prompt)
    if form == "editor":
        classes = [cls for name, cls in document.classes.items() if name not in registry]
        facts = Registered(Registry(*registry.values(), *classes), paths)
        base = document.extra_pnginfo.get("workflow")
        value = to_editor(value, facts, base if is_editor_form(base) else None)
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
