"""What changes a model without a new checkpoint: files of embeddings."""
