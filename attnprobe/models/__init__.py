"""Text -> tokens -> weights, layer by layer: finding, loading and listening to encoders."""
