"""Prompts: text becomes weighted chunks of tokens, and those become what the UNet reads."""
