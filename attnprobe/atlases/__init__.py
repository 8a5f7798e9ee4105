"""The atlas: everything that is measured of a model's heads, as one value that pages, tables and words are made of."""
