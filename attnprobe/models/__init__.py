"""Text -> tokens -> weights, layer by layer: finds, loads and runs encoders."""
