"""The findings of a project as a list that is worked through: by check, and which of them hold after changes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from annotator.domain.checks.finding import CHECKS, CheckSpec, Finding, Severity, mark_of
from annotator.domain.checks.project import check_project
from annotator.domain.counting import counted
from annotator.domain.project import Annotation, Category, ImageRecord, Status


@dataclass(frozen=True, slots=True)
class CheckGroup:
    """What one check found, the worst first."""

    spec: CheckSpec
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, eq=False)
class CheckList:
    """All findings of one run.

    Attributes:
        groups: in the order of the checks, none empty.
        by_object: findings by the objects that they are about.
        by_image: those that are about an image as a whole, or its status.
        names: paths of images by id.
        notes: of what was waived, by mark.
    """

    groups: tuple[CheckGroup, ...] = ()
    by_object: Mapping[int, Sequence[Finding]] = field(default_factory=dict)
    by_image: Mapping[int, Sequence[Finding]] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of(findings: Iterable[Finding], names: Mapping[int, str], notes: Mapping[str, str]) -> CheckList:
        """Sort what was found."""
        by_check: defaultdict[str, list[Finding]] = defaultdict(list)
        by_object: defaultdict[int, list[Finding]] = defaultdict(list)
        by_image: defaultdict[int, list[Finding]] = defaultdict(list)
        for finding in findings:
            by_check[finding.check].append(finding)
            for object_id in finding.object_ids:
                by_object[object_id].append(finding)
            if finding.image_id and not finding.object_ids:
                by_image[finding.image_id].append(finding)
        groups = tuple(
            CheckGroup(spec, tuple(sorted(by_check[spec.id], key=lambda one: -one.value)))
            for spec in CHECKS
            if spec.id in by_check
        )
        return CheckList(groups, dict(by_object), dict(by_image), names, notes)

    def lines(self) -> list[str]:
        """How much was found, then by check."""
        found = [one for group in self.groups for one in group.findings if one.mark not in self.notes]
        errors = sum(one.spec.severity is Severity.ERROR for one in found)
        by_check = [f"{group.spec.title}: {len(group.findings)}" for group in self.groups]
        return [f"{counted(len(found), 'finding')}, {errors} of them errors", *by_check]


def still_holds(finding: Finding, rows: Sequence[Annotation]) -> bool:
    """Whether a finding about objects is about them as they are now.

    Args:
        rows: those of its objects that are there, in its order.
    """
    if len(rows) != len(finding.object_ids):
        return False
    if finding.check == "size":
        content = [f"{math.log(max(1, rows[0].area)):.4f}".encode()]
    elif finding.check == "score":
        content = [b"" if rows[0].score is None else f"{rows[0].score:.4f}".encode()]
    else:
        content = [row.rle for row in rows]
    return finding.mark == mark_of(finding.check, finding.image_id, finding.object_ids, content)


def status_holds(finding: Finding, image: ImageRecord, object_count: int) -> bool:
    """Whether a finding about the status of an image is true now."""
    if finding.check == "done-without":
        return image.status is Status.DONE and not object_count
    return image.status is Status.EMPTY and object_count > 0


def class_marks(categories: Sequence[Category]) -> frozenset[str]:
    """Marks of what is wrong with the names of these classes."""
    return frozenset(finding.mark for finding in check_project((), categories))
