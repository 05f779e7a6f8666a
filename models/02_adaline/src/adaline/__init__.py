"""ADALINE (Widrow & Hoff, 1960): the error is taken on the weighted sum, not on its sign."""
