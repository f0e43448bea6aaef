"""What a run is: settings, a folder, files that are written whole."""
