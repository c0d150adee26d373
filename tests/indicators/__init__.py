"""Tests of the indicator catalogue and its server."""
