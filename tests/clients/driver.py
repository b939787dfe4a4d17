"""Drives the Python client for tests/clients: told what to do by lines of JSON.

The other one is driver.ts; both do the same, so that one table of behaviours can
be asked of both.
"""

import datetime
import json
import os
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "examples", "python"))

import mom  # noqa: E402
from driver_values import from_value, to_value  # noqa: E402

handles = {}
messages = {}
writing = threading.Lock()


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
        "epoch": told.get("epoch"),
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
        "epoch": message.epoch,
        "headers": [[name, from_value(one)] for name, one in message.headers.items()],
        "value": from_value(message.value),
        "redelivered": message.redelivered,
    }


def do_receive_many(handle, told):
    taken = handle.receive_many(told.get("max", 100), seconds(told))
    return [from_message(one) for one in taken]


def do_coordinator(handle, told):
    lease = told["leaseMs"] / 1000
    client = mom.Coordinator(handle, of=told["of"], lease=lease)
    handles[told["client"]] = client


def do_resource(client, told):
    """A method of a semaphore or value."""
    limit = seconds(told)
    resource = getattr(client, told["kind"])(told["name"])
    method, values = told["method"], [to_value(one) for one in told["values"]]
    if method == "wait":
        permit = resource.wait(limit, consume=told.get("consume", False))
        return from_permit(permit)
    if method == "compareAndSet":
        method = "compare_and_set"
    return from_value(getattr(resource, method)(*values, timeout=limit))


def from_permit(permit):
    key = len(messages)
    messages[key] = permit
    return {"key": key, "token": permit.token}


CALLS = {
    "coordinator": do_coordinator,
    "resource": do_resource,
    "release": lambda _, told: messages[told["key"]].release(),
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
