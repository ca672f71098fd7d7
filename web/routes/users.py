"""/users: who uses the server."""

from __future__ import annotations

import msgspec

from web.declare import Call, route
from web.errors import ErrorAnswer, Refused


class Users(msgspec.Struct):
    """Where users' settings are kept: on the server, and never in the browser, so that all are migrated."""

    storage: str = "server"
    migrated: bool = True


@route("GET", "/users", ready=False)
async def show_users(call: Call) -> Users:
    """That settings are kept on the server. A client is one user, the one its token stands for; nobody chooses."""
    return Users()


@route("POST", "/users", ready=False, answers={403: ErrorAnswer})
async def add_user(call: Call) -> None:
    """Refused: a user is added by a token, when the server is started."""
    message = "Users come from tokens: start the server with --token NAME=SECRET for each of them."
    raise Refused(403, "users_come_from_tokens", message)
