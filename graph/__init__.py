"""The workflow engine: documents in, outputs out. Read in this order: model, node, registry, read, validate, plan."""
