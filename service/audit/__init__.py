"""The audit log: who asked for which comparison, what was considered, what was decided; no image, no embedding."""
