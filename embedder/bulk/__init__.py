"""Folders of photos -> numbered Parquet parts: on every core, in bounded memory, and stopped anywhere it goes on."""
