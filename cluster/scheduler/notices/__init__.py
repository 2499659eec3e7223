"""Telling others that jobs have ended."""
