"""Stable Diffusion in torch: checkpoints, text, networks, schedules and samplers. Usable as a library without the graph."""
