"""A frame for each function, with the evidence that it rests on."""
