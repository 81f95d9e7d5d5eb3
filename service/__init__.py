"""HTTP around a FaceEmbedder, and the client for it. Importing this package imports nothing: name the room you mean."""
