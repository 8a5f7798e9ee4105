"""Bytes -> records: one reader per format, nothing of it held in memory."""
