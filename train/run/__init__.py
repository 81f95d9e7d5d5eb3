"""One run from its file to its bundle: the folder, what is put together for the loop, and what comes after it."""
