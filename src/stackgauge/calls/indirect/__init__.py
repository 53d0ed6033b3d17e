"""Edges of indirect calls: what static data, code and types say a pointer to a function can be."""
