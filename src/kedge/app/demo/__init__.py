"""The main job: a model hauled round the whole line on text every machine has."""
