"""Runs over many texts: chunks, batches, processes, and files that survive a kill."""
