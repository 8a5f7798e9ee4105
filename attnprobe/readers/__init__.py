"""Files, pipes and datasets -> records: a reader per format."""
