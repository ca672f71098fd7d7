"""A file of Python source to the Document that it builds."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import ModuleType

from graph.document import Document
from graph.problems import DocumentError, Problem

NAME = "document"  # of the variable that counts where there are several


def read_python(path: Path) -> Document:
    """Run a file of Python source, and take the document that it made.

    This runs whatever the file says. It is for a file that a person names on the command line, as running it with
    Python would be; nothing that comes from elsewhere, such as over the network, may ever be read this way. The file's
    own name for itself is not "__main__", so what it does only as a script it does not do here. Raises OSError if it
    cannot be read, DocumentError if it fails, or makes no document or several of which none is called `document`.
    """
    source = path.read_bytes()
    module = ModuleType(f"workflow {path}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where classes that it defines look up the types of their inputs
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)  # the user's own file, see above
    except (Exception, SystemExit) as error:
        raise _refusal(f"This Python file fails{_line(error, path)}: {_said(error)}; put that right.") from error
    found = {id(value): value for value in vars(module).values() if isinstance(value, Document)}
    named = vars(module).get(NAME)
    if isinstance(named, Document):
        return named
    if len(found) == 1:
        return next(iter(found.values()))
    if not found:
        sentence = f"This Python file makes no workflow; end it with “{NAME} = build(…)”."
    else:
        sentence = f"This Python file makes {len(found)} workflows; call the one that counts “{NAME}”."
    raise _refusal(sentence)


def _refusal(sentence: str) -> DocumentError:
    return DocumentError([Problem("invalid_prompt", sentence)])


def _line(error: BaseException, path: Path) -> str:
    """Where in the file it was, as far as that is known."""
    if isinstance(error, SyntaxError):
        line = error.lineno if error.filename == str(path) else None
    else:
        frames = traceback.extract_tb(error.__traceback__)
        line = next((frame.lineno for frame in reversed(frames) if frame.filename == str(path)), None)
    return f" in line {line}" if line else ""


def _said(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "it ends itself"
    told = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {told}".rstrip(" :.")
