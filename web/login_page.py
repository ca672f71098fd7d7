"""The page where a browser gives its token. It needs no script."""

from __future__ import annotations

from aiohttp import web

POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Darkroom</title>
<style>
  body {{ font: 1rem/1.5 system-ui, sans-serif; background: #17171a; color: #eee; margin: 0 }}
  main {{ max-width: 22rem; margin: 20vh auto 0; padding: 0 1rem }}
  h1 {{ font-size: 1.3rem }}
  input, button {{ font: inherit; width: 100%; box-sizing: border-box; padding: .5rem; margin: .25rem 0 }}
  [role=alert] {{ color: #ff9d8a }}
</style>
<main>
  <h1>Darkroom</h1>
  <form method="post" action="login">
    <label for="token">Token</label>
    <input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
    {note}
    <button>Open</button>
  </form>
  <p>It is the one that the server was started with.</p>
</main>
</html>
"""


def response(note: str = "") -> web.Response:
    """The page, with a sentence about what was wrong."""
    said = f'<p role="alert">{note}</p>' if note else ""
    return web.Response(
        status=401,
        text=PAGE.format(note=said),
        content_type="text/html",
        headers={
            "WWW-Authenticate": "Bearer",
            "Content-Security-Policy": POLICY,
            "X-Frame-Options": "DENY",
            "Cache-Control": "no-store",
        },
    )
