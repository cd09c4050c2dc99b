"""The person's consent to identifiers in what is written. UIDs are left out of projects and exports by themselves
(``docs/adr/0029-uids-left-out.md``); a DICOM object that belongs to images cannot do without theirs."""

from __future__ import annotations

from annotator.domain.counting import counted
from annotator.domain.errors import ExportError
from annotator.domain.ports.formats import Choice, FormatOption

NONE, UIDS, PATIENT = "none", "uids", "patient"

IDENTIFIERS = FormatOption(
    name="identifiers",
    title="Identifiers",
    default=NONE,
    help="the file has to name the images that it belongs to: by UIDs, which lead to the patient in the archive",
    choices=(
        Choice(NONE, "Not agreed: nothing is written", help="nothing is written: the file cannot do without UIDs"),
        Choice(UIDS, "UIDs of study, series and images", help="the UIDs alone; the patient's fields are empty"),
        Choice(
            PATIENT,
            "UIDs, and who the patient is",
            help="also name, number, date of birth, sex, accession number, number, date and time of the study, as "
            "archives want it",
        ),
    ),
    is_consent=True,
)


def check_consent(identifiers: str, title: str) -> None:
    """Raises:
    ExportError: the person has not agreed that UIDs go out.
    """
    if identifiers not in (UIDS, PATIENT):
        raise ExportError(
            f"{title} names the study and the images by their UIDs, which lead to the patient in the archive.",
            f'If that may be, choose "UIDs of study, series and images" ({IDENTIFIERS.flag} {UIDS}) or {PATIENT}.',
        )


def said_of(identifiers: str, images: int) -> str:
    """What went out, for the report."""
    first = f"identifiers: the UIDs of the study, the series and {counted(images, 'image')} went out"
    rest = "; the patient's fields are empty" if identifiers == UIDS else ", and who the patient is"
    return first + rest
