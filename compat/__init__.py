"""Third-party node packs: their classes become node classes of the engine; the engine does not know the difference.

Read in this order: declared, from_v1, returned, calls, shims, packs.
"""
