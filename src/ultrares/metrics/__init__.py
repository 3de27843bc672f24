"""How good a result is, in terms that the field has defined."""
