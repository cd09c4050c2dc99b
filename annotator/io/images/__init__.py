"""Image files to RGB. What the decoding libraries have to say about odd files goes to the log, never to the terminal:
the person gets the picture, or one sentence."""

import logging
import warnings

warnings.filterwarnings("ignore", category=UserWarning, module=r"(PIL|tifffile|pydicom|imagecodecs)\b")
for _library in ("tifffile", "pydicom", "PIL"):
    # Without a listener Python would print their warnings; a log file, when there is one, gets them.
    logging.getLogger(_library).addHandler(logging.NullHandler())
