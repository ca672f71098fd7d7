"""/interrupt: stop what runs."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from web import protocol
from web.cancelling import CANCEL_S, cancel_all
from web.declare import Call, route


class Interruption(msgspec.Struct):
    """What is to stop."""

    prompt_id: Annotated[Any, msgspec.Meta(description="only this job, if it runs")] = None
    client_id: Annotated[str | None, msgspec.Meta(description="only jobs of this client")] = None


@route("POST", "/interrupt")
async def interrupt(call: Call, body: Interruption | None) -> None:
    """Stop a running job, or all running jobs of a client, or of the caller: those that wait go on waiting.

    The answer comes when they have stopped, or after three seconds: a node that does not let go is not waited for.
    """
    scheduler = call.services.scheduler
    wanted = body or Interruption()
    running = scheduler.running
    if wanted.prompt_id not in (None, ""):
        running = [each for each in running if each == str(wanted.prompt_id)]
    owners = {each: scheduler.client_of(each) or "" for each in running}
    mine = [each for each, client in owners.items() if call.may_change(client)]
    if wanted.client_id is not None:
        mine = [each for each in mine if protocol.session_of(owners[each]) == wanted.client_id]
    await cancel_all(scheduler, mine, "It was interrupted.", CANCEL_S)
