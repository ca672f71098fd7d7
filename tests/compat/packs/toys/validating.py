"""Classes that validate their inputs themselves."""


class One:
    """Judges one of its inputs; the other is judged as always."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "give"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "judged": ("INT", {"min": 0, "max": 9}),
                "other": ("INT", {"min": 0, "max": 9}),
                "choice": (["a", "b"],),
            }
        }

    @classmethod
    def VALIDATE_INPUTS(cls, judged):
        return True if judged is None or judged != 13 else "13 brings bad luck"

    def give(self, judged, other, choice):
        return (judged,)


class All(One):
    @classmethod
    def VALIDATE_INPUTS(cls, **values):
        return True


class Refuse(One):
    @classmethod
    async def VALIDATE_INPUTS(cls, choice):
        return False


class Raise(One):
    @classmethod
    def VALIDATE_INPUTS(cls, choice):
        raise KeyError("mistake")


class Types(One):
    """Judges the types of what is linked."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"judged": ("MODEL",)}}

    @classmethod
    def VALIDATE_INPUTS(cls, input_types):
        return True if input_types == {"judged": "INT"} else f"cannot take {input_types['judged']}"

    def give(self, judged):
        return (judged,)


class Broken(One):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"choice": ([][0],)}}


CLASSES = {
    "ToyOne": One,
    "ToyAll_": All,
    "ToyRefuse": Refuse,
    "ToyRaise": Raise,
    "ToyTypes": Types,
    "ToyBroken": Broken,
}
