"""Photos: reading, checking, augmenting and caching them."""
