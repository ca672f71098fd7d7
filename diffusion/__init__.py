"""Stable Diffusion in torch: checkpoints, text, networks, schedules, samplers. Usable as a library without the graph."""
