"""The routes, one file per resource; each defines `router(...)`, which `create_app` includes."""
