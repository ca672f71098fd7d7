"""What a workflow can say: node classes, one file per topic, found by scanning this folder."""
