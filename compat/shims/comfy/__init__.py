"""ComfyUI's package comfy."""
