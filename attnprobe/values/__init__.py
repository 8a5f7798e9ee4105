"""The frozen values that packages hand to each other; no torch, no file, no terminal."""
