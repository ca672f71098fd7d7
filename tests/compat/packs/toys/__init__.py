"""A pack of ComfyUI's V1 protocol, as authors write them; each class shows one of the things that it has."""

from . import changing, expanding, lazy, lists, plain, validating, waiting

NODE_CLASS_MAPPINGS = {
    **changing.CLASSES,
    **expanding.CLASSES,
    **lazy.CLASSES,
    **lists.CLASSES,
    **plain.CLASSES,
    **validating.CLASSES,
    **waiting.CLASSES,
}
NODE_DISPLAY_NAME_MAPPINGS = {"ToyAdd": "Add (toy)"}
WEB_DIRECTORY = "./web"
