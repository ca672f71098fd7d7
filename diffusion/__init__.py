"""Stable Diffusion in torch: checkpoints, text, networks, samplers. Usable as a library without the graph."""
