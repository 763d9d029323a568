"""Signatures and labels inside an image's own file: C2PA, DICOM digital signatures, a visible "SYNTHETIC"."""
