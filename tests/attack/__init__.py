"""An attack on the program with a stranger's files: seeded, by command, for as long as one likes.

    python -m tests.attack [--seed 1] [--minutes 60] [--kinds rows coco ...] [--keep FOLDER]
    python -m tests.attack --seed 1 --kinds rows --case 17

A case is named by kind, seed and number, and runs in a process of its own that is watched from outside. Whatever the
files hold, the program must answer with work that is done or with a sentence for the person. It must not crash, hang or
take memory without bound; touch a file that is not its business, or another computer; tell what is a patient's; or
damage what it was given.
"""
