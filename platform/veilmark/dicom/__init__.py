"""DICOM in and out: read a folder safely and de-identified, write synthetic instances. Pure, no Django."""
