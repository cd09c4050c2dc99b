"""What the package adds, as rows. Nothing heavy is imported here: the functions are named, and imported when used."""

from annotator.domain.ports.actions import ActionSpec, Needs
from annotator.domain.ports.formats import FormatOption, FormatSpec, Holds
from annotator.engine.registry import FamilySpec, ModelEntry

TABLE = FormatSpec(
    id="table",
    title="Object table",
    summary="one CSV file",
    is_folder=False,
    suffix=".csv",
    holds=frozenset((Holds.BOXES,)),
    options=(FormatOption("has_head", "Names of the columns", True, "a first line with names"),),
    export="annotator_levels.table:write",
    readers="spreadsheets, pandas",
)

MEASURE = ActionSpec(
    id="measure",
    title="Measure objects",
    menu="Object",
    tip="How many objects this image has, and how much of it they cover",
    run="annotator_levels.measure:run",
    keys=("Ctrl+Alt+M",),
    needs=Needs.IMAGE,
)

LEVELS = FamilySpec(
    kind="levels",
    title="Grey levels, without weights",
    loader="annotator_levels.segmenter:load",
    models=(ModelEntry("levels", kind="levels", file="", licence="Apache-2.0", rank=-20),),
)
