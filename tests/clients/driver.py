"""Drives the Python client for tests/clients: told what to do by lines of JSON.

The other one is driver.ts; both do the same, so that one table of behaviours can
be asked of both.
"""

import datetime
import hashlib
import json
import math
import os
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "examples", "python"))

import mom  # noqa: E402

LARGE = 65_536
UNIT = "ä\0€z🜂\n"

handles = {}
messages = {}
writing = threading.Lock()


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


def seconds(told, key="timeoutMs"):
    return told[key] / 1000 if key in told else None


def do_connect(told):
    options = {key: told[key] for key in ("daemon", "broker", "token") if key in told}
    if "reconnectTimeoutMs" in told:
        options["reconnect_timeout"] = told["reconnectTimeoutMs"] / 1000
    handle = mom.Mom(told.get("name"), **options)
    handles[told["handle"]] = handle
    return handle.user


def publish_options(told):
    headers = told.get("headers")
    if headers is not None:
        headers = {key: to_value(value) for key, value in headers}
    return {
        "level": told.get("level"),
        "headers": headers,
        "expires": seconds(told, "expiresMs"),
        "timeout": seconds(told),
    }


def from_receipt(receipt):
    told = {"topic": receipt.topic, "level": receipt.level}
    if receipt.offset is not None:
        told["offset"] = receipt.offset
    return told


def do_publish(handle, told):
    value = to_value(told["value"])
    return from_receipt(handle.publish(told["topic"], value, **publish_options(told)))


def do_publish_many(handle, told):
    values = to_value(told["values"])
    receipts = handle.publish_many(told["topic"], values, **publish_options(told))
    return [from_receipt(one) for one in receipts]


def do_subscribe(handle, told):
    start = told.get("from", "now")
    if isinstance(start, dict):
        start = start.get("offset", start.get("time"))
        if "time" in told["from"]:
            start = mom._EPOCH + datetime.timedelta(milliseconds=start)
    return handle.subscribe(
        told["filter"],
        start=start,
        manual=told.get("ack") == "manual",
        echo=told.get("echo", False),
        if_new=told.get("ifNew", False),
    )


def from_message(message):
    if message is None:
        return None
    key = len(messages)
    messages[key] = message
    return {
        "key": key,
        "topic": message.topic,
        "sender": message.sender,
        "offset": message.offset,
        "time": message.time,
        "headers": [[name, from_value(one)] for name, one in message.headers.items()],
        "value": from_value(message.value),
        "redelivered": message.redelivered,
    }


def do_receive_many(handle, told):
    taken = handle.receive_many(told.get("max", 100), seconds(told))
    return [from_message(one) for one in taken]


CALLS = {
    "publish": do_publish,
    "publishMany": do_publish_many,
    "subscribe": do_subscribe,
    "unsubscribe": lambda handle, told: handle.unsubscribe(told["filter"]),
    "receive": lambda handle, told: from_message(handle.receive(seconds(told))),
    "receiveMany": do_receive_many,
    "ack": lambda _, told: messages[told["key"]].ack(),
    "close": lambda handle, _: handle.close(),
    "destroy": lambda handle, _: handle.destroy(),
}


def answer(told):
    try:
        if told["op"] == "connect":
            result = do_connect(told)
        else:
            result = CALLS[told["op"]](handles[told["handle"]], told)
        line = {"id": told["id"], "result": result}
    except mom.MomError as error:
        line = {"id": told["id"], "code": error.code, "message": str(error)}
    except Exception as error:
        line = {"id": told["id"], "code": type(error).__name__, "message": str(error)}
    with writing:
        print(json.dumps(line), flush=True)


for line in sys.stdin:
    threading.Thread(target=answer, args=[json.loads(line)], daemon=True).start()
