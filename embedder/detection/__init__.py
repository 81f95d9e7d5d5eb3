"""Finding faces: the MTCNN cascade, a border for tight crops, and the rule that says which face is meant."""
