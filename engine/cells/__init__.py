"""Cells of recurrent layers, one file each."""
