"""What the emulator knows of each venue beyond its session half; one file each."""
