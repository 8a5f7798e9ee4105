"""Attention weights or head statistics in, tables out."""
