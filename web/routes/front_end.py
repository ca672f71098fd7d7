"""/: the front-end that the server was given, the editor, or a page that says what this is."""

from __future__ import annotations

from html import escape

from aiohttp import web

from web.declare import READY, SETTINGS
from web.routes.health import stops
from web.static import NEVER, FrontEnd

# Nothing from elsewhere, and no script but the editor's own files, whatever a workflow says in titles and notes. Styles
# stand at elements, since that is how nodes are put in their places.
EDITOR_POLICY = "; ".join((
    "default-src 'self'", "style-src 'self' 'unsafe-inline'", "img-src 'self' blob: data:", "media-src 'self' blob:",
    "connect-src 'self' ws: wss:", "object-src 'none'", "base-uri 'self'", "form-action 'self'",
    "frame-ancestors 'self'",
))  # fmt: skip
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Darkroom</title>
<style>
:root { color-scheme: light dark }
body { max-width: 40em; margin: 4em auto; padding: 0 1em; font: 16px/1.5 system-ui, sans-serif }
</style>
<h1>Darkroom</h1>
<p>This server runs workflows for Stable Diffusion. It speaks ComfyUI&rsquo;s API: scripts, plug-ins and front-ends made
for that can use it at this address.</p>
<p>Now: STATE</p>
<ul>
<li><a href="openapi">What can be asked of it</a>, and the same <a href="openapi.json">for programs</a></li>
<li><a href="readyz">Whether it is ready</a></li>
<li><a href="system_stats">The machine it runs on</a></li>
<li><a href="jobs">The jobs</a></li>
</ul>
<p>To have a front-end here, start it with <code>--front-end FOLDER</code>, the static folder of one; the guides in
<code>docs/guide</code> say more.</p>
"""


def add_front_end(app: web.Application) -> None:
    """Serve the front-end, the editor, or the page, at /. All answer before node classes are loaded."""
    settings = app[SETTINGS]
    if settings.front_end is not None:
        app.router.register_resource(FrontEnd(settings.front_end))
    elif settings.editor is not None:
        app.router.register_resource(FrontEnd(settings.editor, {"Content-Security-Policy": EDITOR_POLICY}))
    else:
        app.router.add_get("/", show_page)


async def show_page(request: web.Request) -> web.Response:
    """What this is, and how it is."""
    return web.Response(
        text=PAGE.replace("STATE", escape(_state(request))), content_type="text/html", charset="utf-8", headers=NEVER
    )


def _state(request: web.Request) -> str:
    ready = request.app[READY]
    if stops(ready):
        return "it stops."
    if not ready.done():
        return "it is starting; node classes are being loaded."
    error = ready.exception()
    return "it is ready." if error is None else f"it cannot work: {error}"
