"""What flows: frozen values and what can be said of them; no torch, no file, no terminal."""
