"""The call graph: direct edges, indirect edges and what they assume; the deepest chains."""
