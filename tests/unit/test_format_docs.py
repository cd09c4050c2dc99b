"""The table of formats in ``docs/formats.md`` is what the rows say.

After a change of a row: ``python -m tests.unit.test_format_docs`` writes the table anew.
"""

from __future__ import annotations

from pathlib import Path

from annotator.domain.ports.formats import FormatSpec
from annotator.io.formats.registry import OWN

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
BEGIN, END = "<!-- formats: begin -->\n", "<!-- formats: end -->\n"


def table() -> str:
    head = ("`--format`", "export", "keeps of an object", "options", "import", "read by")
    rows = [head, ("---",) * len(head), *map(cells, OWN)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def cells(spec: FormatSpec) -> tuple[str, ...]:
    place = ("a folder" if spec.is_folder else f"`{spec.suffix}`") if spec.export else "no"
    options = ", ".join(f"`{option.flag}` {option.values().replace('|', '/')}" for option in spec.options)
    taken = f"`{spec.import_name}`" if spec.import_ else "no"
    return f"`{spec.id}`", f"{spec.summary} ({place})", spec.held(), options or "none", taken, spec.readers


def written() -> tuple[str, str, str]:
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    inside, _, after = rest.partition(END)
    return before, inside, after


def test_the_table_is_up_to_date() -> None:
    assert written()[1] == table(), "run: python -m tests.unit.test_format_docs"


def test_the_page_speaks_of_every_format() -> None:
    before, _, after = written()
    for spec in OWN:
        assert spec.title in before + after


if __name__ == "__main__":
    head, _, tail = written()
    PAGE.write_text(head + BEGIN + table() + END + tail, "utf-8")
