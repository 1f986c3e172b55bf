"""What licences of imagery allow, with the clause that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

#: What outputs are made for. ``research``: kept among those who work on it; ``publication``: shown to everyone, not for
#: profit; ``commercial``: sold, or part of what is sold.
Purpose = Literal["research", "publication", "commercial"]
Use = Purpose
_ALL: tuple[Use, ...] = ("research", "publication", "commercial")


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence of imagery or labels.

    Attributes:
        starts: how names of it begin, lower case.
        allows: purposes maps made from it may serve.
        clause: the words that limit it, with their place; None where nothing is limited.
        asks: what it asks of outputs, with the place that says so where it has numbered sections.
    """

    starts: tuple[str, ...]
    allows: tuple[Use, ...]
    clause: str | None
    asks: str


_NC_BUT_SHARED = (
    'CC {0} 4.0, section 2(a)(1)(B): "produce, reproduce, and Share Adapted Material for NonCommercial purposes only"'
)
_ND = 'CC {0} 4.0, section 2(a)(1)(B): "produce and reproduce, but not Share, Adapted Material"'
_ND_NC = _ND.removesuffix('"') + ' for NonCommercial purposes only"'
_BY = "attribution, the licence's name and link, and that the material was modified (section 3(a)(1))"
_SA = f"{_BY}; adapted material that is shared goes under the same licence or a compatible one (section 3(b))"
_ODBL = (
    "a notice that names the database and its licence (section 4.3); "
    "a derivative database in public use goes under the same licence or a compatible one (section 4.4)"
)

#: More telling names stand before those they begin with.
LICENCES: tuple[Licence, ...] = (
    Licence(("cc-by-nc-nd-4.0", "cc by-nc-nd 4.0"), ("research",), _ND_NC.format("BY-NC-ND"), _BY),
    Licence(("cc-by-nc-sa-4.0", "cc by-nc-sa 4.0"), _ALL[:2], _NC_BUT_SHARED.format("BY-NC-SA"), _SA),
    Licence(("cc-by-nc-4.0", "cc by-nc 4.0"), _ALL[:2], _NC_BUT_SHARED.format("BY-NC"), _BY),
    Licence(("cc-by-nd-4.0", "cc by-nd 4.0"), ("research",), _ND.format("BY-ND"), _BY),
    Licence(("cc-by-sa-4.0", "cc by-sa 4.0"), _ALL, None, _SA),
    Licence(("cc-by-4.0", "cc by 4.0"), _ALL, None, _BY),
    Licence(("cc0-1.0", "cc0", "pddl-1.0", "public domain", "us public domain"), _ALL, None, "nothing"),
    Licence(("odbl-1.0", "odbl"), _ALL, None, _ODBL),
    Licence(("cdla-permissive-1.0",), _ALL, None, "nothing of results (section 3.4)"),
    Licence(("cdla-permissive-2.0",), _ALL, None, "nothing of results (section 3.1)"),
    Licence(("etalab-2.0",), _ALL, None, "the source and the date of its last update"),
    Licence(
        ("ogl-uk-3.0",),
        _ALL,
        None,
        "the attribution statement of the provider and, where possible, a link to the licence",
    ),
    Licence(
        ("dl-de-by-2.0",), _ALL, None, "provider, licence, the data set's URI, and that the data were changed (2, 3)"
    ),
    Licence(("copernicus sentinel",), _ALL, None, 'the line "Contains modified Copernicus Sentinel data [year]"'),
    Licence(("landsat", "usgs landsat"), _ALL, None, "credit to the U.S. Geological Survey as the source"),
)


def known_licence(name: str) -> Licence | None:
    """The licence a name means, or None where it is not known here."""
    lower = name.strip().lower()
    return next((one for one in LICENCES if lower.startswith(one.starts)), None)


def refusal(name: str, allowed_use: Sequence[Use] | None, purpose: Purpose) -> str | None:
    """Why ``purpose`` is not allowed, in one sentence with the clause; None where nothing speaks against it.

    What a known licence forbids, no ``allowed_use`` allows; what a recipe allows itself may be less.
    """
    licence = known_licence(name)
    if licence is not None and purpose not in licence.allows:
        return (
            f"its licence {name} does not allow the purpose {purpose!r} ({licence.clause}); "
            f"set purpose to {' or '.join(licence.allows)}, or use another source"
        )
    if allowed_use is not None and purpose not in allowed_use:
        said = " and ".join(allowed_use) or "nothing"
        return f"its allowed_use names {said}, not the purpose {purpose!r}; change the purpose or the source"
    return None


def is_settled(name: str, allowed_use: Sequence[Use] | None) -> bool:
    """True where the allowed use is known, by the licence's name or by the recipe."""
    return allowed_use is not None or known_licence(name) is not None
