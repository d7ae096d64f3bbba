"""Descriptions: 20 to 45 words in which the order of words matters.

Where two materials are named only the body's counts; two claims are made and either may be
negated; the number of pieces often stands beside another number drawn from the same values.
"""

from __future__ import annotations

from random import Random

from . import world
from .factors import Factors, pick

WORDS: dict[str, tuple[str, ...]] = {
    "oak": ("oak", "oakwood"),
    "steel": ("steel", "stainless"),
    "glass": ("glass", "crystal"),
    "leather": ("leather", "cowhide"),
    "bamboo": ("bamboo", "cane"),
    "plastic": ("plastic", "acrylic"),
    "waterproof": ("waterproof", "rainproof", "watertight"),
    "refurbished": ("refurbished", "repaired", "restored"),
}
"""The words for a material or a claim."""

NEW_WORDS: dict[str, str] = {
    "oak": "hardwood",
    "steel": "inox",
    "glass": "vitreous",
    "leather": "nappa",
    "bamboo": "rattan",
    "plastic": "polymer",
    "waterproof": "stormproof",
    "refurbished": "reworked",
}
"""The word a shifted catalogue may use in place of the usual ones."""

_NUMBER_WORDS = {2: "two", 3: "three", 4: "four", 6: "six", 8: "eight"}
_SETS = {4: ((2, 2),), 6: ((2, 3), (3, 2)), 8: ((2, 4), (4, 2))}
"""Pairs (sets, pieces in each) by the number of pieces in all."""

_OPENINGS = (
    "{adjective} {noun} for the {place}.",
    "From our {place} range: {adjective} {noun}.",
    "This {adjective} {noun} suits any {place}.",
    "For sale: {adjective} {noun} from the {place}.",
)
_ADJECTIVES = (
    "modern",
    "classic",
    "elegant",
    "simple",
    "slim",
    "sturdy",
    "handy",
    "charming",
    "stylish",
    "quiet",
    "bright",
    "rustic",
    "neat",
    "popular",
)
_PLACES = ("kitchen", "hall", "office", "bedroom", "garden", "studio", "balcony", "library")
_ONE_MATERIAL = (
    "Made of {body} throughout.",
    "The body is {body}.",
    "Its body is all {body}.",
)
_TWO_MATERIALS = (
    "The body is {body} and the trim is {trim}.",
    "The trim is {trim} while the body is {body}.",
    "Its {body} body has {trim} handles.",
    "Its {trim} handles sit on a body of {body}.",
    "Mainly {body} with a little {trim}.",
    "A little {trim} on what is mainly {body}.",
)
_OFFERS = ("Sold as", "You get", "The box holds")
_NUMBERS = (
    "Ships within {n} days.",
    "Comes with a {n} metre cord.",
    "Has a warranty of {n} years.",
    "Fits a shelf of {n} boards.",
    "Tested by {n} people.",
)
_FILLERS = (
    "Not suitable for the dishwasher.",
    "Comes from a home that never smoked.",
    "Please ask before you order.",
    "The colour may differ from the photo.",
    "No returns, but pickup is welcome.",
    "Packed with care in a cardboard box.",
)
_NEGATIONS = ("not", "never", "not really")
_CLAIM_OPENINGS = ("It is", "The product is", "We call it")


def write_description(factors: Factors, rng: Random, new_word_rate: float = 0.0) -> str:
    """Write the description of one product.

    Args:
        factors: Latent factors; the material, trim, pieces and both claims are put in words.
        rng: Source of the wording.
        new_word_rate: Chance of the word in `NEW_WORDS` wherever there is one.
    """
    sentences = [
        _material(factors, rng, new_word_rate),
        _pieces(factors.pieces, rng),
        _claims(factors, rng, new_word_rate),
    ]
    if rng.random() < 0.6:
        sentences.append(pick(rng, _NUMBERS).format(n=_number(pick(rng, world.PIECES), rng)))
    if rng.random() < 0.6:
        sentences.append(pick(rng, _FILLERS))
    for last in range(len(sentences) - 1, 0, -1):
        other = int(rng.random() * (last + 1))
        sentences[last], sentences[other] = sentences[other], sentences[last]
    return " ".join([_opening(factors, rng), *sentences])


def _opening(factors: Factors, rng: Random) -> str:
    text = pick(rng, _OPENINGS).format(
        adjective=pick(rng, _ADJECTIVES),
        noun=pick(rng, world.CATEGORY_BY_NAME[factors.category].nouns),
        place=pick(rng, _PLACES),
    )
    return text[0].upper() + text[1:]


def _material(factors: Factors, rng: Random, new_word_rate: float) -> str:
    body = _word(factors.material, rng, new_word_rate)
    if factors.trim is None:
        return pick(rng, _ONE_MATERIAL).format(body=body)
    trim = _word(factors.trim, rng, new_word_rate)
    return pick(rng, _TWO_MATERIALS).format(body=body, trim=trim)


def _claims(factors: Factors, rng: Random, new_word_rate: float) -> str:
    claims = [
        (_word(name, rng, new_word_rate), getattr(factors, name))
        for name in ("waterproof", "refurbished")
    ]
    if rng.random() < 0.5:
        claims.reverse()
    opening = pick(rng, _CLAIM_OPENINGS)
    (first, is_first), (second, is_second) = claims
    if not is_first and not is_second and rng.random() < 0.5:
        return f"{opening} neither {first} nor {second}."
    joint = "and" if is_first == is_second else "but"
    return f"{opening} {_claim(first, is_first, rng)} {joint} {_claim(second, is_second, rng)}."


def _claim(word: str, holds: bool, rng: Random) -> str:
    return word if holds else f"{pick(rng, _NEGATIONS)} {word}"


def _word(name: str, rng: Random, new_word_rate: float) -> str:
    is_new, word = rng.random() < new_word_rate, pick(rng, WORDS[name])
    return NEW_WORDS[name] if is_new else word


def _pieces(pieces: int, rng: Random) -> str:
    offer = pick(rng, _OFFERS)
    if pieces in _SETS and rng.random() < 0.4:
        sets, each = pick(rng, _SETS[pieces])
        return f"{offer} {_number(sets, rng)} sets of {_number(each, rng)}."
    return f"{offer} a set of {_number(pieces, rng)}."


def _number(value: int, rng: Random) -> str:
    return _NUMBER_WORDS[value] if rng.random() < 0.5 else str(value)
