"""Attention weights or head statistics in, tables and traces out."""
