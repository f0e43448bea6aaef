"""Every table and figure of the paper, from the list of runs to the claims."""
