"""The agreement that every researcher accepts before asking for a release. A changed text is a new version."""

from __future__ import annotations

import hashlib

VERSION = "1"
TEXT = """\
1. I use the images for the purpose that I state in my request, and for no other.
2. I do not try to find out who a person behind the images is, alone or by linking them with other data, and I let
   nobody else try (evidence for EHDS Art. 61(3)).
3. I do not pass the images on. Whoever needs them asks for access of their own.
4. I do not remove or alter the marks and notices that say that the images are synthetic.
5. The images are synthetic. I do not use them to diagnose or to treat anybody.
6. If I find an image that seems to show a real person, I stop using the set and report it to the issuing site at once.
7. When my access ends, or when I am told of a recall, I delete the images within 30 days.
"""
DIGEST = f"sha256:{hashlib.sha256(TEXT.encode()).hexdigest()}"
