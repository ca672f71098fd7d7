"""Classes whose functions are coroutines."""

import asyncio

from .log import RAN


class Barrier:
    """Lets nobody through before `count` have come."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "wait"
    waiting = 0
    here = None

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT",), "count": ("INT",)}, "hidden": {"id": "UNIQUE_ID"}}

    async def wait(self, value, count, id):
        cls = type(self)
        cls.here = cls.here or asyncio.Event()
        cls.waiting += 1
        if cls.waiting == count:
            cls.here.set()
        await asyncio.wait_for(cls.here.wait(), 60)
        RAN.append(id)
        return (value,)


class FailLater(Barrier):
    async def wait(self, value, count, id):
        await asyncio.sleep(0)
        raise RuntimeError("later")


class Leave(Barrier):
    async def wait(self, value, count, id):
        await asyncio.sleep(0)
        raise SystemExit(3)


CLASSES = {"ToyLeave": Leave, "ToyBarrier": Barrier, "ToyFailLater": FailLater}
