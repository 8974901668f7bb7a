"""Cases on disk, read through a memory map."""
