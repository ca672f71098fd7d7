"""What the editor makes of a node class: its inputs in order, and the widgets whose values a file lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from graph.read.editor import Slot
from graph.read.facts import ClassFacts, Facts, InputFacts


class Absent(Enum):
    """The type of a value that there is not."""

    ABSENT = 0


ABSENT: Final = Absent.ABSENT

WIDGET_TYPES = frozenset({
    "INT", "FLOAT", "BOOLEAN", "STRING", "COMBO", "MARKDOWN", "IMAGEUPLOAD", "FILEUPLOAD", "COLOR", "IMAGECOMPARE",
    "TREESELECT", "MULTISELECT", "CHART", "GALLERIA", "SELECTBUTTON", "TEXTAREA", "LOAD_3D", "LOAD_3D_ANIMATION",
    "WEBCAM", "AUDIO_RECORD",
})  # fmt: skip
DEFAULTS = {"INT": 0, "FLOAT": 0, "STRING": "", "BOOLEAN": False}
SEEDS = frozenset({"seed", "noise_seed"})
CONTROL = "control_after_generate"
UPLOADS = frozenset({"image_upload", "video_upload", "animated_image_upload"})
SHOWN = {  # what the editor adds to a class to show something, and sends
    "PreviewAny": "preview", "LoadAudio": "audioUI", "SaveAudio": "audioUI", "SaveAudioMP3": "audioUI",
    "SaveAudioOpus": "audioUI", "PreviewAudio": "audioUI",
}  # fmt: skip
SAVERS = frozenset({
    "SaveImage", "SaveAnimatedWEBP", "SaveWEBM", "SaveAudio", "SaveGLB", "SaveAnimatedPNG", "CLIPSave", "VAESave",
    "ModelSave", "LoraSave", "SaveLatent",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Widget:
    """A field of a node. One that is not sent is for the editor alone; one that is not saved only shows something."""

    name: str
    default: Any = ABSENT
    is_sent: bool = True
    is_saved: bool = True
    is_multiline: bool = False
    is_dynamic: bool = False  # {a|b} in its text is chosen from
    is_pattern: bool = False  # %date:…% in its text is filled in


@dataclass(frozen=True, slots=True)
class Kind:
    """A node class. Its inputs are first those that only take wires, then those of widgets."""

    name: str
    display: str
    inputs: tuple[Slot, ...]
    outputs: tuple[str, ...]
    widgets: tuple[Widget, ...]
    forced: tuple[bool, ...]  # for each value that files had when inputs that only take wires had values too: is it one


class Kinds:
    """The classes of one workflow; each is looked up once."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._known: dict[str, Kind | None] = {}

    def of(self, class_type: str) -> Kind | None:
        """None for a class that nobody here knows."""
        if class_type not in self._known:
            try:
                facts = self._facts.of(class_type)
                self._known[class_type] = kind_of(class_type, facts) if facts else None
            except Exception:  # a pack's class, whose own code says what it takes; validation will tell what is wrong
                self._known[class_type] = None
        return self._known[class_type]


def kind_of(name: str, facts: ClassFacts) -> Kind:
    """A class from the facts about it."""
    fields = [each for each in facts.inputs if is_widget(each)]
    widgets = [widget for each in fields for widget in _widgets(each, name)]
    if any(each.is_required and any(each.options.get(key) for key in UPLOADS) for each in fields):
        widgets.append(Widget("upload", "image", is_sent=False))
    if name in SHOWN:
        widgets.append(Widget(SHOWN[name], "", is_saved=False))
    sockets = [Slot(each.name, each.type) for each in facts.inputs if not is_widget(each)]
    return Kind(
        name,
        facts.display,
        (*sockets, *(Slot(each.name, each.type, None, each.name) for each in fields)),
        facts.outputs,
        tuple(widgets),
        tuple(_forced(facts.inputs)),
    )


def is_widget(facts: InputFacts) -> bool:
    """Whether an input has a field in the editor, or only takes wires."""
    return str(facts.options.get("widgetType", facts.type)) in WIDGET_TYPES and not facts.options.get("forceInput")


def _widgets(facts: InputFacts, class_name: str) -> Iterator[Widget]:
    """The widget of an input, and those that the editor puts after it."""
    is_text = facts.type == "STRING"
    yield Widget(
        facts.name,
        _default(facts),
        is_multiline=is_text and bool(facts.options.get("multiline")),
        is_dynamic=is_text and bool(facts.options.get("dynamicPrompts")),
        is_pattern=facts.name == "filename_prefix" and class_name in SAVERS,
    )
    control = _control(facts)
    if control:
        yield Widget(control if isinstance(control, str) else CONTROL, is_sent=False)
        if facts.type == "COMBO":
            yield Widget("control_filter_list", is_sent=False)


def _control(facts: InputFacts) -> object:
    """True or a name if the editor changes this value after each run."""
    if facts.type not in ("INT", "COMBO"):
        return False
    return facts.options.get(CONTROL, facts.type == "INT" and facts.name in SEEDS)


def _default(facts: InputFacts) -> Any:
    if "default" in facts.options:
        return facts.options["default"]
    if facts.type == "COMBO":
        return facts.choices[0] if facts.choices else ABSENT
    return DEFAULTS.get(facts.type, ABSENT)


def _forced(inputs: Iterable[InputFacts]) -> Iterator[bool]:
    for each in inputs:
        is_forced = bool(each.options.get("forceInput"))
        if is_forced or is_widget(each):
            yield is_forced
            if _control(each):
                yield False
