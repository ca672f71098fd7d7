"""Tokens: which user a secret or a session stands for. Without tokens everybody is the user "default"."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

from aiohttp import web

from web.settings import Settings

SESSION = b"darkroom session "


class Tokens:
    """The secrets of one server. Safe to share."""

    def __init__(self, settings: Settings) -> None:
        self._users: Mapping[str, bytes] = {user: _digest(secret) for user, secret in settings.tokens.items()}
        self._sessions = {user: _session(user, secret) for user, secret in settings.tokens.items()}
        self.cookie = f"darkroom_{settings.port}"  # cookies of one host are shared by all of its ports

    def __bool__(self) -> bool:
        return bool(self._users)

    def user_of(self, secret: str) -> str | None:
        """The user whose secret this is. It takes as long for a wrong one as for any right one."""
        return _match(self._users, _digest(secret))

    def user_of_bearer(self, authorization: str) -> str | None:
        """The user of an Authorization header that bears a token."""
        return self.user_of(authorization.partition(" ")[2].strip())

    def user_of_password(self, authorization: str) -> str | None:
        """The user of an Authorization header that has a token for a password, as some clients send it."""
        try:
            given = base64.b64decode(authorization.partition(" ")[2].strip(), validate=True).decode()
        except ValueError:
            return None
        name, _, secret = given.partition(":")
        user = self.user_of(secret)
        return user if name in ("", user) or len(self._users) == 1 else None

    def user_of_cookie(self, request: web.BaseRequest) -> str | None:
        """The user of a session."""
        try:
            found = request.cookies.get(self.cookie)
        except ValueError:  # cookies that are none
            return None
        return None if found is None else _match(self._sessions, found.encode(errors="replace"))

    def open_session(self, response: web.StreamResponse, request: web.BaseRequest, user: str) -> None:
        """Let a browser be this user until it is closed. The cookie does not tell the secret, and ends with it."""
        # Only whoever sends a wrong X-Forwarded-Proto is worse off by it.
        is_secure = request.secure or request.headers.get("X-Forwarded-Proto", "").lower() == "https"
        value = self._sessions[user].decode()
        response.set_cookie(self.cookie, value, path="/", httponly=True, samesite="Strict", secure=is_secure)

    def close_session(self, response: web.StreamResponse) -> None:
        """Let the browser forget it."""
        response.del_cookie(self.cookie, path="/", httponly=True, samesite="Strict")


def scheme_of(authorization: str) -> str:
    """What kind of Authorization header it is."""
    return authorization.partition(" ")[0].lower()


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def _session(user: str, secret: str) -> bytes:
    return hmac.new(secret.encode(errors="surrogatepass"), SESSION + user.encode(), "sha256").hexdigest().encode()


def _match(known: Mapping[str, bytes], given: bytes) -> str | None:
    found = None
    for user, value in known.items():  # all of them, whichever it is
        if hmac.compare_digest(value, given):
            found = user
    return found
