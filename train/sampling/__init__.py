"""Who is in a batch: so many people, and so many images of each."""
