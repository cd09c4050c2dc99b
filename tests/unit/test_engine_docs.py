"""The table of families in ``docs/engines.md`` is what the rows say.

After a change of a row: ``python -m tests.unit.test_engine_docs`` writes the table anew.
"""

from __future__ import annotations

from pathlib import Path

from annotator.engine import weights
from annotator.engine.registry import FAMILIES, Ability, FamilySpec

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"
BEGIN, END = "<!-- families: begin -->\n", "<!-- families: end -->\n"


def table() -> str:
    head = ("family", *(ability.value for ability in Ability), "installed by", "models")
    rows = [head, ("---",) * len(head), *map(cells, FAMILIES)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def cells(family: FamilySpec) -> tuple[str, ...]:
    models = ", ".join(f"`{entry.name}`" for entry in weights.registry().values() if entry.kind == family.kind)
    extra = f"`[{family.extra}]`" if family.extra else "default"
    return family.title, *("yes" if ability in family.can else "" for ability in Ability), extra, models


def written() -> tuple[str, str, str]:
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    inside, _, after = rest.partition(END)
    return before, inside, after


def test_the_table_is_up_to_date() -> None:
    assert written()[1] == table(), "run: python -m tests.unit.test_engine_docs"


if __name__ == "__main__":
    head, _, tail = written()
    PAGE.write_text(head + BEGIN + table() + END + tail, "utf-8")
