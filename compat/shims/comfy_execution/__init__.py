"""ComfyUI's package comfy_execution."""
