"""What runs in a browser: the page that samples an artifact there, and the seed contract in JavaScript."""
