"""What values an INFO or FORMAT field may have by its header line, as patterns (VCF specification, 1.3 and 1.4.2)."""

import re
from functools import lru_cache

from genomicslake.header import Field
from genomicslake.reasons import Problem, Reason

NUMBER = rb"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_32_BITS = rb"1[0-9]{9}|20[0-9]{8}|21[0-3][0-9]{7}|214[0-6][0-9]{6}|2147[0-3][0-9]{5}|21474[0-7][0-9]{4}"
_VALUE = {
    "Integer": rb"(?:-?(?:[0-9]{1,9}|" + _32_BITS + rb"|214748[0-2][0-9]{3}|2147483[0-5][0-9]{2}|21474836[0-3][0-9])"
    rb"|214748364[0-7]|-2147483640|\.)",  # what the VCF specification, section 1.3, allows
    "Float": rb"(?:" + NUMBER + rb"|[-+]?(?i:nan|inf|infinity)|\.)",
    "Character": rb"[^,:\t]",
}
_PLAIN = _VALUE | {"Integer": rb"(?:-?[0-9]{1,9}|\.)"}  # what is quickly told


@lru_cache(maxsize=4096)
def pattern(declared: Field, alternates: int, ends: bytes = rb":\t", *, is_plain: bool = False) -> bytes:
    """The pattern of the values that a header line allows, `.` for missing included; text stops at one of `ends`. A
    plain one takes integers of nine digits at most.
    """
    patterns = _PLAIN if is_plain else _VALUE
    if declared.is_scalar:
        return patterns.get(declared.type, b"[^%b]*" % ends)
    counts = _counts(declared.number, alternates)
    times = [b"{%d}" % (count - 1) for count in counts] if counts else [b"*"]
    value = patterns.get(declared.type, b"[^,%b]*" % ends)
    return b"(?:%b|\\.)" % b"|".join(b"%b(?:,%b)%b" % (value, value, more) for more in times)


def _counts(number: str, alternates: int) -> list[int]:
    """How many values a Number allows; none where it is any."""
    if number.isdigit():
        return [int(number)]
    alleles = alternates + 1
    counts = {"A": [alternates], "R": [alleles], "G": [alleles * (alleles + 1) // 2, alleles]}
    return counts.get(number, []) if alternates else []  # no alternate, no row


@lru_cache(maxsize=4096)
def of_info(declared: Field, alternates: int) -> re.Pattern[bytes]:
    """The pattern of an INFO field's value."""
    return re.compile(pattern(declared, alternates, rb"\t"))


def problem(kind: str, declared: Field, value: bytes, shown: str) -> Problem:
    """What is wrong with a value that its field's pattern does not match; `kind` is INFO or FORMAT."""
    ends = rb"\t" if kind == "INFO" else rb":\t"
    value_ = _VALUE.get(declared.type, b"[^,%b]*" % ends)
    of_type = b"%b(?:,%b)*" % (value_, value_)
    reason = Reason.NUMBER if re.fullmatch(of_type, value) else Reason[kind]
    what = f"what the header declares: Number={declared.number}, Type={declared.type}"
    return Problem(reason, f"{shown} is not {what}", f"{kind}/{declared.id}")
