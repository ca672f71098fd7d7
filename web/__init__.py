"""The HTTP and WebSocket server: ComfyUI's API and Darkroom's own, in front of a queue.

Read in this order: settings, services (what is behind it), declare (how a route says what it takes and gives), errors,
security, protocol (every string of ComfyUI's wire), hub (messages to clients), app; then `routes/`, a file per noun, of
which `routes/queue.py` is the example. The folder is scanned; there is no list to edit.
"""
