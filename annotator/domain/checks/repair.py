"""Repairs of findings, as edits that can be undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from annotator.domain.checks.finding import Finding, Repair
from annotator.domain.checks.objects import CheckLimits, without_islands, without_small_holes
from annotator.domain.counting import counted
from annotator.domain.object_edits import by_hand, merge_objects_edit
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import Annotation, Edit, RowChange


def repair_edit(
    finding: Finding,
    objects: Mapping[int, Annotation],
    limits: CheckLimits | None = None,
    *,
    repair: Repair | None = None,
) -> Edit | None:
    """What mends a finding; None when it has no repair, or an object is not there any more, or nothing of it would be
    left.

    Args:
        objects: by id, as they are now.
        repair: another one than the finding offers first.

    Raises:
        ValueError: the runs of an object are damaged.
    """
    limits, repair = limits or CheckLimits(), repair or finding.spec.repair
    rows = [objects.get(one) for one in finding.object_ids]
    first = rows[0] if rows else None
    if repair is Repair.NONE or first is None or None in rows:
        return None
    name = f"{repair.value} ({finding.spec.title.lower()})"
    if repair is Repair.DELETE:
        return Edit(name, (RowChange(first, None),))
    if repair is Repair.MERGE:
        return merge_objects_edit([(row, row.mask()) for row in rows if row is not None])
    mask = first.mask()
    if repair is Repair.FILL:
        mended = without_small_holes(mask, limits.part)
    elif repair is Repair.DROP:
        mended = without_islands(mask, limits.part)
    else:
        other = rows[1]
        if other is None:
            return None
        mended = mask.subtract(other.mask())
    if mended.is_empty or mended.same_pixels(mask):
        return None
    return Edit(name, (RowChange(first, by_hand(first, mended)),))


def repair_all(
    findings: Sequence[Finding], objects: Mapping[int, Annotation], *, progress: Progress | None = None
) -> Edit | None:
    """One edit that mends findings of one check, each as those before it have left the objects; None when it mends
    nothing. Left out is what has no repair, and objects whose runs are damaged.

    Args:
        objects: by id, as they are now.
        progress: called with (findings done, findings in all); what it raises ends the work.
    """
    now = dict(objects)
    for done, finding in enumerate(findings):
        if progress is not None:
            progress(done, len(findings))
        try:
            edit = repair_edit(finding, now)
        except ValueError:
            continue
        for change in () if edit is None else edit.changes:
            del now[change.row.id]
            if isinstance(change.after, Annotation):
                now[change.row.id] = change.after
    changes = tuple(RowChange(row, now.get(id_)) for id_, row in objects.items() if now.get(id_) is not row)
    if not changes:
        return None
    spec = findings[0].spec
    return Edit(f"{spec.repair.value} ({spec.title.lower()}, {counted(len(changes), 'object')})", changes)
