"""One page a method, over one contract."""
