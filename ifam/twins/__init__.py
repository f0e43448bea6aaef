"""Generated stand-ins of the datasets. Nothing else uses more of this room than `ifam.twins.generate`."""
