"""Values as the two drivers are told of them, in JSON; the Python half of
told_values.ts.
"""

import datetime
import hashlib
import math

import mom

LARGE = 65_536
UNIT = "ä\0€z🜂\n"


def to_value(told):
    """A value as the test told it."""
    if isinstance(told, list):
        return [to_value(one) for one in told]
    if not isinstance(told, dict):
        return told
    kind, what = next(iter(told.items()))
    if kind == "object":
        return {key: to_value(one) for key, one in what}
    if kind == "undefined":
        return mom.UNDEFINED
    if kind == "bigint":
        return mom.BigInt(what)
    if kind == "number":
        return float(what.replace("Infinity", "inf"))
    if kind == "bytes":
        return bytes.fromhex(what)
    if kind == "date":
        try:
            return mom._EPOCH + datetime.timedelta(milliseconds=what)
        except OverflowError:
            return mom.DistantDate(what)
    if kind == "many":
        return list(range(what))
    if kind == "fill":
        return fill(*what)
    raise ValueError(f"unknown kind {kind}")


def fill(kind, size):
    if kind == "bytes":
        block = bytes((index * 31 + 7) & 255 for index in range(256))
        return (block * (size // 256 + 1))[:size]
    unit = len(UNIT.encode())
    return UNIT * (size // unit) + "x" * (size % unit)


def from_value(value):
    """A value as the test is told of it."""
    if value is mom.UNDEFINED:
        return {"undefined": 0}
    if isinstance(value, mom.BigInt):
        return {"bigint": str(int(value))}
    if isinstance(value, float):
        return from_float(value)
    if isinstance(value, (bytes, str)) and len(value) >= LARGE:
        data = value if isinstance(value, bytes) else value.encode()
        kind = "bytes" if isinstance(value, bytes) else "text"
        return {"digest": [kind, len(data), hashlib.sha256(data).hexdigest()]}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, mom.DistantDate):
        return {"date": value.ms}
    if isinstance(value, datetime.datetime):
        return {"date": (value - mom._EPOCH) // datetime.timedelta(milliseconds=1)}
    if isinstance(value, list):
        return [from_value(one) for one in value]
    if isinstance(value, dict):
        return {"object": [[key, from_value(one)] for key, one in value.items()]}
    return value


def from_float(value):
    """Whole numbers and fractions go as JSON; what JSON has not, by name."""
    if math.isnan(value):
        return {"number": "NaN"}
    if math.isinf(value):
        return {"number": "Infinity" if value > 0 else "-Infinity"}
    if value == 0 and math.copysign(1, value) < 0:
        return {"number": "-0"}
    return int(value) if value.is_integer() else value
