"""Pictures of kinds that are not read here, by their first bytes: so that they can be refused by name."""

from __future__ import annotations

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"II\xbc", "JPEG XR"),
    (b"8BPS", "Photoshop"),
    (b"gimp xcf", "GIMP"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"Pf", "PFM"),
    (b"PF", "PFM"),
    (b"P7\n", "PAM"),
    (b"FUJIFILMCCD-RAW", "raw camera"),
    (b"IIRO", "raw camera"),
    (b"IIU\0", "raw camera"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"SIMPLE  =", "FITS"),
    (b"\x89HDF", "HDF5"),
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
)


def foreign_kind(head: bytes) -> str:
    """The name of a kind that is not read here; an empty text for all others.

    Args:
        head: the first bytes of a file, at least 16 of them.
    """
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return "HEIC"
    if head[8:10] == b"CR" and head[:2] in (b"II", b"MM"):
        return "raw camera"
    if b"<svg" in head:
        return "SVG"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "")
