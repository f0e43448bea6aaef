"""What a run is: settings, a folder, files that are written whole; and how pictures are read."""
