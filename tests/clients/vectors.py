"""Holds the Python client against the wire: golden vectors and records.

Reads one JSON object from stdin: ``vectors`` as in tests/vectors/messages.json,
``codes`` and ``retriable``, the error codes, and ``records``, a list of hex. Prints
one JSON object: ``failures``, and for each record what became of it, so that the
caller can compare that with what the TypeScript client makes of it.
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "examples", "python"))

import driver_values  # noqa: E402
import mom  # noqa: E402


def from_meaning(value):
    """The inverse of what tests/vectors/make.ts writes."""
    if isinstance(value, list):
        return [from_meaning(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "hex" in value:
        return bytes.fromhex(value["hex"])
    if "map" in value:
        return {key: from_meaning(one) for key, one in value["map"]}
    return {key: from_meaning(one) for key, one in value.items()}


def check_vector(vector):
    frame = bytes.fromhex(vector["hex"])
    expected = from_meaning(vector["meaning"])
    for cut in range(len(frame)):
        reader = mom._FrameReader()
        reader.push(frame[:cut])
        contents = list(reader)
        reader.push(frame[cut:])
        contents += list(reader)
        if [mom._decode_content(one) for one in contents] != [expected]:
            return f"decodes otherwise when cut at {cut}"
    if mom._encode_frame(expected).hex() != vector["hex"]:
        return f"encodes to {mom._encode_frame(expected).hex()}"
    return None


def read_record(content):
    try:
        headers, value = mom._decode_record(content)
    except mom._Unreadable:
        return None
    return [
        [[key, driver_values.from_value(one)] for key, one in headers.items()],
        driver_values.from_value(value),
    ]


told = json.load(sys.stdin)
failures = []
for vector in told["vectors"]:
    problem = check_vector(vector)
    if problem is not None:
        failures.append(f"{vector['name']}: {problem}")
if mom._CODES != set(told["codes"]):
    failures.append(f"codes: {mom._CODES ^ set(told['codes'])}")
if mom._RETRIABLE != set(told["retriable"]):
    failures.append(f"retriable: {mom._RETRIABLE ^ set(told['retriable'])}")
records = [read_record(bytes.fromhex(record)) for record in told["records"]]
print(json.dumps({"failures": failures, "records": records}))
