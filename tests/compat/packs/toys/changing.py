"""Classes that say themselves whether they have changed."""

from .log import RAN

STATE = {"value": 1}


class Changed:
    """Gives its input; IS_CHANGED gives what the test put into STATE."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "give"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT",)}, "optional": {"more": ("INT",)}, "hidden": {"id": "UNIQUE_ID"}}

    @classmethod
    def IS_CHANGED(cls, value, id, more=None):
        STATE["asked"] = (value, id, more)
        if isinstance(STATE["value"], Exception):
            raise STATE["value"]
        return STATE["value"]

    def give(self, value, id, more=None):
        RAN.append(id)
        return (value,)


class ChangedLater(Changed):
    @classmethod
    async def IS_CHANGED(cls, **values):
        return STATE["value"]


CLASSES = {"ToyChanged": Changed, "ToyChangedLater": ChangedLater}
