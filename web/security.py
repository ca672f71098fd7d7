"""Security: from where the server may be asked, and by whom, before any route. docs/threat-model.md says why."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import socket
from collections.abc import Collection

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from web import login_page
from web.declare import USER
from web.errors import Handler, Refused
from web.settings import Settings
from web.tokens import Tokens, scheme_of

log = logging.getLogger(__name__)

AUTHORITY = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?))(?::(?P<port>[0-9]{1,5}))?"
)
ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#\\@\s]+)")
ANY_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9._:\[\]-]+")
USER_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
DEFAULT_PORTS = {"http": 80, "https": 443}
SECRET_LEAST = 8  # characters
WRONG_S = 0.2  # how long whoever gave a wrong token waits for the answer

HARMLESS = {"GET", "HEAD", "OPTIONS"}
FORMATS = {"application/json", "multipart/form-data"}
# The first part of paths to which pages send other formats: files are what they are, front-ends send settings without
# saying that they are JSON, and the login page has no script.
OTHER_FORMATS = {"settings", "userdata", "login"}
SOCKETS = {"/ws", "/api/ws"}

ALLOWED = web.RequestKey("allowed_origin", str)  # the other site that a request comes from
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
REQUEST_HEADERS = "Authorization, Content-Type, Comfy-User, Last-Event-ID, Range, If-None-Match"
ANSWER_HEADERS = "Content-Disposition, Content-Range, ETag, Location"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with "no-referrer" the login page's own form would come from origin "null"
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "SAMEORIGIN",
    "Content-Security-Policy": "frame-ancestors 'self'; base-uri 'self'; object-src 'none'; form-action 'self'",
}


class UnsafeSettings(ValueError):
    """The server would not be safe if it were started like this; the message is a sentence for people."""


class UnsafeAddress(UnsafeSettings):
    """It would listen where other machines reach it, and ask nobody for a token."""


def check_settings(settings: Settings, insecure: bool) -> None:
    """Raises UnsafeAddress for an open door that nobody asked for aloud, UnsafeSettings for what cannot be meant."""
    elsewhere = [each for each in settings.addresses if not is_loopback(each)]
    if elsewhere and not settings.tokens and not insecure:
        raise UnsafeAddress(
            f"At {elsewhere[0]} other machines reach the server, and without a token anybody there could run workflows "
            "and read pictures. Give it a --token, or let it listen at 127.0.0.1; --insecure opens it to everybody."
        )
    for user, secret in settings.tokens.items():
        if not USER_NAME.fullmatch(user):
            raise UnsafeSettings(
                f"{user!r} cannot be a user: names have letters, digits, - and _ only, and 64 at most."
            )
        if len(secret) < SECRET_LEAST or not (secret.isascii() and secret.isprintable()) or " " in secret:
            raise UnsafeSettings(
                f"The token of {user} must have {SECRET_LEAST} characters or more, of ASCII and without spaces; "
                "`python -c 'import secrets; print(secrets.token_urlsafe())'` makes a good one."
            )
    if len(set(settings.tokens.values())) < len(settings.tokens):
        raise UnsafeSettings("Two users have the same token; give each of them their own.")
    for origin in settings.allow_origins:
        if not ANY_ORIGIN.fullmatch(origin):
            raise UnsafeSettings(
                f"{origin!r} is no origin; give a scheme and a name, such as https://example.org, without a path. "
                "There is no way to allow all of them."
            )
    for name in settings.allow_hosts:
        found = AUTHORITY.fullmatch(name)
        if found is None or found["port"]:
            raise UnsafeSettings(f"{name!r} is no name of a host; give one such as example.org, without a port.")


def guard(settings: Settings, open_paths: Collection[str] = ()) -> Middleware:
    """What every request passes first. `open_paths` are the paths, as declared, that need no token."""
    hosts = _own_names(settings)
    only_here = all(is_loopback(each) for each in settings.addresses)
    origins = {each.lower() for each in settings.allow_origins}
    tokens = Tokens(settings)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        authority = _check_host(request, hosts, only_here)
        _check_origin(request, authority, origins)
        if request.method == hdrs.METH_OPTIONS:
            return web.Response()
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Refused(415, "compressed_body", "The body is compressed; send it as it is.")
        if tokens:
            given = _given_token(request)
            user = tokens.user_of(given) if given is not None else _known_user(request, tokens)
            if user is not None and given is not None and request.path == "/":
                answer = web.Response(status=303, headers={"Location": "/", "Cache-Control": "no-store"})
                tokens.open_session(answer, request, user)
                return answer
            if user is None and not _is_open(request, open_paths):
                return await _without_token(request, given)
            if user is not None:
                request[USER] = user
        _check_format(request)
        return await handler(request)

    return check


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """What browsers shall keep to, on every answer (a signal of the application). What a route said itself stays."""
    headers = response.headers
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    headers.add("Vary", "Origin")
    if (origin := request.get(ALLOWED)) is not None:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Allow-Credentials"] = "true"
        headers["Access-Control-Expose-Headers"] = ANSWER_HEADERS
        if request.method == hdrs.METH_OPTIONS:
            headers["Access-Control-Allow-Methods"] = METHODS
            headers["Access-Control-Allow-Headers"] = REQUEST_HEADERS
            headers["Access-Control-Max-Age"] = "600"
            if request.headers.get("Access-Control-Request-Private-Network") == "true":
                headers["Access-Control-Allow-Private-Network"] = "true"


def is_loopback(name: str) -> bool:
    """Whether only this machine can be meant by a name or a number."""
    name = name.lower().strip("[]").removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    number = _number(name)
    mapped = getattr(number, "ipv4_mapped", None)
    return number is not None and (mapped or number).is_loopback


def _number(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _own_names(settings: Settings) -> set[str]:
    """Names that may stand for this server, beside numbers and those of the loopback."""
    names = {each.lower() for each in settings.allow_hosts}
    elsewhere = [each.lower() for each in settings.addresses if not is_loopback(each)]
    if elsewhere:
        machine = socket.gethostname().lower()
        names |= {machine, machine.split(".")[0], f"{machine.split('.')[0]}.local"}
        names |= {each for each in elsewhere if each and _number(each) is None}
    return names


def _check_host(request: web.Request, names: set[str], only_here: bool) -> str:
    """The authority that the request is addressed to. Raises Refused for a name that is not this server's.

    A page can let its own name point to 127.0.0.1 (DNS rebinding); a browser then takes the server for a part of it.
    """
    given = request.headers.getall("Host", [])
    found = AUTHORITY.fullmatch(given[0]) if len(given) == 1 else None
    if found is None:
        raise Refused(400, "invalid_host", "The request must have one Host header with a name or a number.")
    name = (found["six"] or found["name"]).lower().removesuffix(".")
    if is_loopback(name) or name in names or (not only_here and _number(name) is not None):
        return given[0].lower()
    message = f"The server is not called {name}; use localhost or its number, or start it with --allow-host {name}."
    raise Refused(403, "foreign_host", message)


def _check_origin(request: web.Request, authority: str, origins: set[str]) -> None:
    """Raises Refused for what another site's page asks for, unless that site is allowed."""
    given = request.headers.getall("Origin", [])
    if given:
        origin = given[0].lower()
        if len(given) == 1 and origin in origins:
            request[ALLOWED] = given[0]
        elif len(given) > 1 or not _is_same(origin, authority, request.secure):
            raise _foreign(f"{given[0]} may not use this server; start it with --allow-origin to allow that.")
        return
    site = request.headers.get("Sec-Fetch-Site", "none")
    if site in {"none", "same-origin"}:
        return
    # Somebody who follows a link to a page sees it, and the site with the link does not.
    mode, target = request.headers.get("Sec-Fetch-Mode"), request.headers.get("Sec-Fetch-Dest")
    if request.method not in {"GET", "HEAD"} or mode != "navigate" or target != "document":
        raise _foreign("Another site's page may not use this server; start it with --allow-origin to allow that.")


def _foreign(message: str) -> Refused:
    return Refused(403, "foreign_origin", message)


def _is_same(origin: str, authority: str, is_secure: bool) -> bool:
    """Whether an origin is this server. Behind a proxy that speaks TLS the request itself came without."""
    found = ORIGIN.fullmatch(origin)
    if found is None or (is_secure and found["scheme"] != "https"):
        return False
    port = DEFAULT_PORTS[found["scheme"]]
    return _place(found["authority"], port) == _place(authority, port) is not None


def _place(authority: str, default_port: int) -> tuple[str, int] | None:
    found = AUTHORITY.fullmatch(authority)
    return found and ((found["six"] or found["name"]).removesuffix("."), int(found["port"] or default_port))


def _given_token(request: web.Request) -> str | None:
    """A token in the address: of a page that somebody opens themselves, or of a WebSocket."""
    if request.method != "GET" or "token" not in request.query:
        return None
    is_page = request.path == "/" and request.headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}
    return request.query["token"] if is_page or request.path in SOCKETS else None


def _known_user(request: web.Request, tokens: Tokens) -> str | None:
    authorization = request.headers.get("Authorization", "")
    match scheme_of(authorization):
        case "bearer":
            return tokens.user_of_bearer(authorization)
        case "basic":  # which may be a password for a proxy
            return tokens.user_of_password(authorization) or tokens.user_of_cookie(request)
        case _:
            return tokens.user_of_cookie(request)


def _is_open(request: web.Request, open_paths: Collection[str]) -> bool:
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical.removeprefix("/api") in open_paths


async def _without_token(request: web.Request, given: str | None) -> web.Response:
    """The answer to whoever has none: a page to give one, or 401."""
    wrong = given is not None or scheme_of(request.headers.get("Authorization", "")) == "bearer"
    if wrong:
        await refuse_later(request)
    if request.method == "GET" and request.path == "/" and "text/html" in request.headers.get("Accept", ""):
        return login_page.response("This is not a token of this server." if wrong else "")
    message = "The token is not one of this server's." if wrong else "This server asks for a token."
    return Refused(
        401, "no_token", f"{message} Send it as `Authorization: Bearer TOKEN`.", headers={"WWW-Authenticate": "Bearer"}
    ).response()


async def refuse_later(request: web.Request) -> None:
    """Note a wrong token, and let whoever gave it wait: guessing shall be slow, for nobody else."""
    log.warning("A wrong token came from %s.", request.remote)
    await asyncio.sleep(WRONG_S)


def _check_format(request: web.Request) -> None:
    """Raises Refused for a body that a browser would send for any page without asking first.

    Programs that are no browser send what they like: they have neither of these headers, and a browser always has.
    """
    is_browser = "Origin" in request.headers or any(each.lower().startswith("sec-fetch-") for each in request.headers)
    if request.method in HARMLESS or not is_browser or not request.body_exists or request.content_type in FORMATS:
        return
    parts = request.path.removeprefix("/api").split("/")
    if ALLOWED in request or parts[1:2] == [] or parts[1] not in OTHER_FORMATS:
        message = f"A page must send application/json or multipart/form-data, not {request.content_type}."
        raise Refused(415, "wrong_format", message)
