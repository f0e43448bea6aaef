"""Pictures of parts and masks, the explorer, reports."""
