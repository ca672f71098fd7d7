"""The bundled checkpoint: its training pictures, training, export and score. See `python -m lab.tiny --help`."""
