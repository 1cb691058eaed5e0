"""Readers of public data sets, one file a source."""
