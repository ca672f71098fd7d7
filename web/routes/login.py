"""/login and /logout: a browser gives its token once, and is known by a cookie from then on."""

from __future__ import annotations

from urllib.parse import parse_qs

from aiohttp import web

from web import login_page
from web.declare import Call, read_body, route
from web.errors import Refused
from web.security import refuse_later
from web.tokens import Tokens

FORM_MOST_BYTES = 4096
FIELDS_MOST = 10


@route(
    "POST",
    "/login",
    twin=False,
    ready=False,
    is_open=True,
    takes="application/x-www-form-urlencoded",
    answers={303: None, 401: "text/html"},
)
async def log_in(call: Call) -> web.Response:
    """Begin a session with the form field `token`, and go to the front page."""
    data = await read_body(call.request, FORM_MOST_BYTES)
    try:
        fields = parse_qs(data.decode("ascii", "replace"), max_num_fields=FIELDS_MOST, errors="replace")
    except ValueError:
        message = f"The form has more than {FIELDS_MOST} fields; send the token alone."
        raise Refused(400, "invalid_body", message) from None
    tokens = Tokens(call.settings)
    user = tokens.user_of(fields.get("token", [""])[0].strip())
    if tokens and user is None:
        await refuse_later(call.request)
        return login_page.response("This is not a token of this server.")
    answer = web.Response(status=303, headers={"Location": "/", "Cache-Control": "no-store"})
    if user is not None:
        tokens.open_session(answer, call.request, user)
    return answer


@route("POST", "/logout", twin=False, ready=False, is_open=True, answers={303: None})
async def log_out(call: Call) -> web.Response:
    """End the session of this browser. A token is good until the server is started without it."""
    answer = web.Response(status=303, headers={"Location": "/", "Cache-Control": "no-store"})
    Tokens(call.settings).close_session(answer)
    return answer
