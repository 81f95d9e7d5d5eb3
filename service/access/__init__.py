"""Who may ask, and how much: keys and their scopes, names of this host, origins, limits for each caller."""
