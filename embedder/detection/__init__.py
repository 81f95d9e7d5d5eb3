"""Finding faces: YuNet for boxes, MTCNN's third network for landmarks, and the rule that says which face is meant."""
