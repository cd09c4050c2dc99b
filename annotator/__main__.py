"""``python -m annotator``, and what the ``annotator`` command starts."""

import os
import sys


def start() -> int:
    """Run the command line. Modules and plug-ins that lie in the current folder, among the images, are not imported."""
    # Python has put the current folder in front: the next import would look there for all that it needs itself.
    sys.path[:] = [entry for entry in sys.path if entry and entry != os.getcwd()]
    from annotator.files.children import shut_out_current_folder

    shut_out_current_folder()
    from annotator.cli import main

    return main()


if __name__ == "__main__":
    sys.exit(start())
