"""Face detection: YuNet for boxes, MTCNN's third network for landmarks, and the rules that select a face."""
