"""Lists on wires."""

from comfy_execution.graph import ExecutionBlocker

from .log import RAN


class Numbers:
    """Several values on one wire, and on the other their list as one value."""

    RETURN_TYPES = ("INT", "LIST")
    OUTPUT_IS_LIST = (True, False)
    FUNCTION = "give"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"default": "1 2 3"})}}

    def give(self, text):
        numbers = [int(word) for word in text.split()]
        return (numbers, numbers)


class Sum:
    """Takes whole lists."""

    INPUT_IS_LIST = True
    RETURN_TYPES = ("INT", "INT")
    FUNCTION = "sum"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"numbers": ("INT", {"forceInput": True}), "start": ("INT", {"default": 0})},
            "hidden": {"id": "UNIQUE_ID"},
        }

    def sum(self, numbers, start, id):
        RAN.append(id)
        return (sum(numbers) + start[0], len(numbers))


class Odd:
    """Blocks numbers that are even; with a message if there is one."""

    RETURN_TYPES = ("INT", "INT")
    FUNCTION = "filter"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"number": ("INT",)}, "optional": {"message": ("STRING",), "alone": ("BOOLEAN",)}}

    def filter(self, number, message=None, alone=False):
        if number % 2:
            return (number, number)
        blocker = ExecutionBlocker(message)
        return blocker if alone else (blocker, number)


class OddOnes:
    """Blocks elements of a list that it gives."""

    INPUT_IS_LIST = True
    OUTPUT_IS_LIST = (True,)
    RETURN_TYPES = ("INT",)
    FUNCTION = "filter"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"numbers": ("INT", {"forceInput": True})}}

    def filter(self, numbers):
        return ([number if number % 2 else ExecutionBlocker(None) for number in numbers],)


CLASSES = {"ToyNumbers": Numbers, "ToySum": Sum, "ToyOdd": Odd, "ToyOddOnes": OddOnes}
