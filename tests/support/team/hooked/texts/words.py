"""What of a text counts."""

COUNTED = ("good", "bad", "dull")
