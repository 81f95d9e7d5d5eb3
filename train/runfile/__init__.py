"""What a run file may say, as pydantic models, and how it is read. The only owner of margins and learning rates."""
