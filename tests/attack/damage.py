"""Ways to damage bytes, values of a document, and rows of a database. All take a seeded generator."""

from __future__ import annotations

import json
import random
import zlib
from typing import Any

from tests.attack.guard import CANARIES

HTML = '<img src="/etc/hostname"><b>bold</b>'
PATHS = (
    *(
        "../outside/secret.png",
        "../../outside/secret.png",
        "/etc/passwd",
        "//host/share/a.png",
        "\\\\host\\share\\a.png",
    ),
    *(
        "..\\outside\\secret.png",
        "C:\\a.png",
        "a\0b.png",
        ".",
        "..",
        "",
        "/",
        "~/a.png",
        "sub/../../outside/secret.png",
    ),
    *(
        "file:///etc/passwd",
        "http://host.invalid/a.png",
        "\u202egnp.a",
        "a" * 5000,
        "CON",
        "nul.png",
        "-rf",
        "a\nb.png",
    ),
    *("$(touch x).png", "%00.png", "\ud800.png", "{}.png", "%s%n.png"),
)
TEXTS = (
    *(
        HTML,
        "",
        " ",
        "\0",
        "x" * 100_000,
        "\ud83d\ude00" * 50,
        "‮abc",
        "a\nb\r\tc",
        "\x1b[31m",
        "'; DROP TABLE image; --",
    ),
    *(
        "nan",
        "null",
        "{}",
        "[]",
        "{",
        "[" * 3000,
        '{"a":' * 2000,
        "1e999",
        "-1",
        "None",
        "&amp;",
        "%d",
        "{0.__class__}",
    ),
)
NUMBERS = (
    *(0, -1, 1, 2, 7, 255, 65_535, 65_536, 1 << 31, (1 << 31) - 1, 1 << 53, (1 << 63) - 1, -(1 << 63), 10**30),
    *(0.5, -0.0, 1e-320, 1e300, float("nan"), float("inf"), float("-inf")),
)


def any_value(dice: random.Random, depth: int = 0) -> Any:
    kind = dice.randrange(9 if depth < 3 else 6)
    if kind == 0:
        return dice.choice(NUMBERS)
    if kind == 1:
        return dice.choice(TEXTS)
    if kind == 2:
        return dice.choice(PATHS)
    if kind == 3:
        return dice.choice((None, True, False))
    if kind == 4:
        return dice.randint(-5, 100)
    if kind == 5:
        return dice.choice(CANARIES)
    if kind == 6:
        return [any_value(dice, depth + 1) for _ in range(dice.randrange(6))]
    if kind == 7:
        return {str(any_value(dice, 9))[:50]: any_value(dice, depth + 1) for _ in range(dice.randrange(5))}
    return dice.choice(([[]] * 1000, deep(dice.choice((20, 900, 5000))), ["a"] * 10_000))


def deep(levels: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(levels):
        made = [made]
    return made


def damaged_bytes(data: bytes, dice: random.Random, *, block: int = 4096) -> bytes:
    """One to six damages: bits, numbers, blocks that are gone, doubled, emptied or changed places, a cut-off end."""
    made = bytearray(data)
    for _ in range(dice.randint(1, 6)):
        if len(made) < 32:
            break
        at = dice.randrange(len(made) if dice.random() < 0.7 else min(len(made), 200))
        how = dice.randrange(9)
        if how <= 2:
            made[at] ^= 1 << dice.randrange(8)
        elif how == 3:
            width = dice.choice((1, 2, 4, 8))
            number = int(dice.choice([n for n in NUMBERS if isinstance(n, int) and n >= 0])) % (1 << 8 * width)
            made[at : at + width] = number.to_bytes(width, dice.choice(("big", "little")))
        elif how == 4:
            first, second = (dice.randrange(max(1, len(made) // block)) * block for _ in range(2))
            a, b = made[first : first + block], made[second : second + block]
            if len(a) == len(b) == block:
                made[first : first + block], made[second : second + block] = b, a
        elif how == 5:
            start = at - at % block
            made[start : start + block] = bytes(len(made[start : start + block]))
        elif how == 6:
            del made[at:]
        elif how == 7:
            made[at:at] = dice.randbytes(dice.randint(1, 40))
        else:
            del made[at : at + dice.randint(1, 40)]
    return bytes(made)


def damaged_document(document: Any, dice: random.Random, *, times: int | None = None) -> Any:
    """A JSON document with some of its values replaced, doubled, renamed or gone."""
    for _ in range(times or dice.choice((1, 1, 2, 3, 8))):
        places = list(_places(document))
        if not places:
            return any_value(dice)
        holder, key = dice.choice(places)
        how = dice.randrange(6)
        if how <= 2:
            holder[key] = any_value(dice)
        elif how == 3:
            del holder[key]
        elif how == 4 and isinstance(holder, list):
            holder.extend([holder[key]] * dice.choice((1, 2, 300)))
        elif isinstance(holder, dict):
            holder[str(any_value(dice, 9))[:40]] = holder.pop(key)
        else:
            holder.insert(key, any_value(dice))
    return document


def _places(document: Any, depth: int = 0) -> Any:
    if depth > 12:
        return
    keys = list(document) if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in list(keys)[:200]:
        yield document, key
        yield from _places(document[key], depth + 1)


def as_json(document: Any, dice: random.Random) -> bytes:
    """The document's text; sometimes damaged itself."""
    try:
        text = json.dumps(document)
    except (RecursionError, ValueError):
        text = "[" * 5000
    data = text.encode("utf-8", "surrogatepass")
    if dice.random() < 0.1:
        data = damaged_bytes(data, dice)
    if dice.random() < 0.05:
        data = data.decode("utf-8", "replace").encode(
            dice.choice(("utf-16", "utf-8-sig", "utf-32", "cp500")), "replace"
        )
    return data


def hostile_cell(dice: random.Random) -> Any:
    """What SQLite can keep."""
    kind = dice.randrange(6)
    if kind == 0:
        number = dice.choice(NUMBERS)
        return number if isinstance(number, float) or -(1 << 63) <= number < 1 << 63 else float(number)
    if kind == 1:
        return dice.choice((*TEXTS, *PATHS)).encode("utf-8", "replace").decode()
    if kind == 2:
        return dice.randbytes(dice.randrange(200))
    if kind == 3:
        return None
    if kind == 4:
        try:
            return json.dumps(any_value(dice)).encode("utf-8", "replace").decode()
        except (RecursionError, ValueError):
            return "{}"
    return zlib.compress(dice.choice((b"[", b"[[", b" ", b"0,")) * dice.choice((10, 100_000, 30_000_000)), 1)
