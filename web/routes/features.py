"""/features: what the server can do beyond the oldest clients' expectations."""

from __future__ import annotations

from typing import Any

from web import protocol
from web.declare import Call, route


@route("GET", "/features", ready=False)
async def show_features(call: Call) -> dict[str, Any]:
    """What the server can do, as the WebSocket also tells; max_upload_size is in bytes."""
    features: dict[str, Any] = protocol.feature_flags(call.settings.upload_most_bytes)["data"]
    return features
