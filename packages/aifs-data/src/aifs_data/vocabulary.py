"""What token ids stand for."""

from __future__ import annotations


class Vocabulary:
    """Tokens and their ids."""
