"""One resource a file; each has `router(...)`, which `create_app` joins to the app."""
