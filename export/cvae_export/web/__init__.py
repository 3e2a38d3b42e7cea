"""What runs in a browser: the seed contract in JavaScript."""
