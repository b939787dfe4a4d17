"""The Python API of mom: publish, subscribe and receive through the daemon.

One file for Python 3.9 and later; beside the standard library it needs ``cbor2``
(Debian: ``python3-cbor2``). It speaks protocol version 1; the clauses named in
comments are those of ``protocol/PROTOCOL.md``.

    from mom import Mom

    with Mom(name="ana") as ana, Mom(name="ben") as ben:
        ben.subscribe("museum/+")
        ana.publish("museum/doors", {"door": 3, "open": True})
        message = ben.receive(timeout=5)
        print(message.topic, message.value, "from", message.sender)

Calls block. Durations are seconds. Whatever can go wrong is a ``MomError`` with a
``code``; decide on that, never on the message. A wrong Python type is a
``TypeError``. While the daemon is away a handle connects again by itself; its calls
wait for at most ``reconnect_timeout``. A handle may be used by several threads, not
across a fork.

What a message can carry, and what becomes of it in JavaScript:

==================================  ===========================================
Python                              JavaScript
==================================  ===========================================
None, ``UNDEFINED``                 null, undefined
bool, str                           boolean, string
float, int up to 2**53 - 1          number; a whole number comes as an int
int beyond that, ``BigInt``         bigint (within 64 bits); comes as ``BigInt``
bytes, bytearray, memoryview        Uint8Array; comes as bytes
datetime with a time zone           Date: milliseconds; comes in UTC
list, tuple                         array; comes as a list
dict with str keys                  plain object
==================================  ===========================================
"""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import datetime
import hashlib
import hmac
import math
import os
import random
import re
import secrets
import selectors
import socket
import struct
import threading
import time
from typing import (
    Any,
    Callable,
    Deque,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
    Union,
)

import cbor2

__all__ = [
    "UNDEFINED",
    "BigInt",
    "Coordinator",
    "DistantDate",
    "Event",
    "Message",
    "Mom",
    "MomError",
    "Permit",
    "Receipt",
    "Semaphore",
    "SharedValue",
]

# Errors -------------------------------------------------------------------------

_CODES = frozenset(
    (
        "topic_invalid filter_invalid name_invalid option_invalid value_unsupported "
        "message_too_large already_subscribed not_subscribed name_in_use "
        "machine_in_use user_expired unauthorized protocol_version bad_frame "
        "bad_message unsupported out_of_sequence outbox_full storage_full "
        "store_unavailable broker_unavailable daemon_unavailable outcome_unknown "
        "store_replaced data_in_use data_version data_damaged closed exists "
        "unknown_name destroyed "
        "lease_lost timed_out internal "
    ).split()
)
_RETRIABLE = frozenset(
    (
        "outbox_full storage_full store_unavailable broker_unavailable "
        "daemon_unavailable"
    ).split()
)


class MomError(Exception):
    """Every failure that can be expected; ``code`` is one of protocol/errors.ts."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        #: One of the table; what a later version may send counts as "internal".
        self.code = code if code in _CODES else "internal"
        #: Whether the same call may succeed later.
        self.retriable = self.code in _RETRIABLE

    def __str__(self) -> str:
        return f"{self.code}: {self.args[0]}"


# Limits (PROTOCOL 2, 3, 4, 8 and the README) ------------------------------------

_VERSION = 1
_SOFTWARE = "mom-python/0.1.0"
_HELLO_SECONDS = 5.0
_HELLO_FRAME = 4_096
_FRAME_OVERHEAD = 65_536
_MESSAGE_MAX = 8 * 1024 * 1024
_ANNOUNCED_MAX = 256 * 1024 * 1024
_SAFE = 2**53 - 1
_HEADERS_MAX = 16 * 1024
_DEPTH_MAX = 64
_CLOSE_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
_UNCONFIRMED_MAX = 65_536
_ANSWERS_MAX = 1024 * 1024
_EVENTS_MAX = 100
_PATIENCE = 2.6
_RECONNECT_MIN, _RECONNECT_MAX, _RECONNECT_SETTLED = 0.1, 5.0, 1.0
# One item in the broker's journal.
_BATCH_BYTES, _BATCH_MIN = 52 * 1024, 32 * 1024
_SEND_WINDOW = 32 * 1024 * 1024
_CREDIT_MIN, _CREDIT_MAX = 256 * 1024, 4 * 1024 * 1024
_DELIVER_COST = 32
_QUICK_SECONDS = 0.1
_ACK_RANGES = 1_024
_USER_REF = 1

# Values -------------------------------------------------------------------------

#: What JavaScript calls undefined. It is falsy.
UNDEFINED: Any = cbor2.undefined

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MILLISECOND = datetime.timedelta(milliseconds=1)
_DATE_MAX = 8_640_000_000_000_000


class BigInt(int):
    """An int that is a bigint in JavaScript, however small. Within 64 bits."""

    def __repr__(self) -> str:
        return f"BigInt({int(self)})"


@dataclasses.dataclass(frozen=True)
class DistantDate:
    """A JavaScript Date that no ``datetime`` can hold: milliseconds since 1970."""

    ms: int


class _Raw:
    """Bytes that are CBOR already."""

    __slots__ = ("data",)

    def __init__(self, data: bytes):
        self.data = data


def _write_raw(encoder: Any, value: Any) -> None:
    if not isinstance(value, _Raw):
        raise TypeError(f"no CBOR for {type(value).__name__}")
    encoder.write(value.data)


class _Misfit(Exception):
    """What is wrong with a part of a value; the way to it grows on the way out."""

    def __init__(self, what: str):
        super().__init__(what)
        self.path = ""


def _encode_value(value: Any, limit: int) -> bytes:
    """One value as CBOR (PROTOCOL 8.10).

    The size that counts is that of the content for text and bytes.
    """
    budget = [limit + 1]
    try:
        prepared = _prepare(value, 0, budget)
        encoded: bytes = cbor2.dumps(prepared, default=_write_raw)
    except _Misfit as misfit:
        raise MomError(
            "value_unsupported",
            f"Cannot encode message: value{misfit.path} is {misfit}",
        ) from None
    except _TooLarge:
        raise _too_large(limit) from None
    size = len(encoded)
    if isinstance(prepared, (str, bytes)):
        size -= 1 if encoded[0] & 31 < 24 else 1 + (1 << (encoded[0] & 31) - 24)
    if size > limit:
        raise _too_large(limit)
    return encoded


class _TooLarge(Exception):
    pass


def _too_large(limit: int) -> MomError:
    return MomError(
        "message_too_large",
        f"Cannot encode message: value has more than {limit} bytes",
    )


def _prepare(value: Any, depth: int, budget: List[int]) -> Any:
    """What cbor2 is to encode for a value: mostly the value itself."""
    budget[0] -= 1
    if value is None or value is UNDEFINED or isinstance(value, (bool, float)):
        return value
    if isinstance(value, str):
        _spend(budget, len(value))
        return _plain_text(value, "a str")
    if isinstance(value, int):
        return _prepare_int(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        size = value.nbytes if isinstance(value, memoryview) else len(value)
        _spend(budget, size)
        return bytes(value)
    if isinstance(value, (datetime.datetime, DistantDate)):
        return _prepare_date(value)
    if isinstance(value, (list, tuple, dict)):
        _spend(budget, 0)
        if depth == _DEPTH_MAX:
            raise _Misfit(f"more than {_DEPTH_MAX} levels deep")
        if isinstance(value, dict):
            return _prepare_dict(value, depth + 1, budget)
        return _prepare_list(value, depth + 1, budget)
    raise _Misfit(f"of type {type(value).__name__}")


def _spend(budget: List[int], size: int) -> None:
    # Also ends the walk through a value that contains itself many times.
    budget[0] -= size
    # A byte of grace for the head, which does not count for text and bytes.
    if budget[0] < 0:
        raise _TooLarge()


def _plain_text(value: str, what: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _Misfit(f"{what} with a lone surrogate") from None
    return str.__str__(value)


def _prepare_int(value: int) -> Any:
    if isinstance(value, BigInt) or not -_SAFE <= value <= _SAFE:
        if not -(2**63) <= value < 2**64:
            raise _Misfit("an int of more than 64 bits")
        # A 64-bit head says bigint, however small the number is.
        if value >= 0:
            return _Raw(struct.pack(">BQ", 0x1B, value))
        return _Raw(struct.pack(">BQ", 0x3B, -1 - value))
    if -(2**32) <= value < 2**32:
        return int(value)
    return float(value)


def _prepare_date(value: Union[datetime.datetime, DistantDate]) -> _Raw:
    if isinstance(value, DistantDate):
        ms = value.ms
    elif value.tzinfo is None or value.utcoffset() is None:
        raise _Misfit("a datetime without a time zone")
    else:
        ms = (value - _EPOCH) // _MILLISECOND
    if not isinstance(ms, int) or abs(ms) > _DATE_MAX:
        raise _Misfit("a date out of the range of JavaScript")
    if ms % 1000 == 0 and 0 <= ms // 1000 < 2**32:
        return _Raw(b"\xc1" + _head(0x00, ms // 1000))
    return _Raw(struct.pack(">BBd", 0xC1, 0xFB, ms / 1000))


def _prepare_list(value: Sequence[Any], depth: int, budget: List[int]) -> List[Any]:
    items = []
    for index, item in enumerate(value):
        try:
            items.append(_prepare(item, depth, budget))
        except _Misfit as misfit:
            misfit.path = f"[{index}]{misfit.path}"
            raise
        _spend(budget, 0)
    return items


def _prepare_dict(
    value: Mapping[Any, Any], depth: int, budget: List[int]
) -> Dict[str, Any]:
    items: Dict[str, Any] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise _Misfit(f"a dict with a key of type {type(key).__name__}")
        _spend(budget, len(key) + 1)
        plain = _plain_text(key, "a dict with a key")
        try:
            items[plain] = _prepare(item, depth, budget)
        except _Misfit as misfit:
            misfit.path = f"[{key!r}]{misfit.path}"
            raise
    return items


def _head(major: int, number: int) -> bytes:
    """The shortest CBOR head with a number; ``major`` is its upper bits."""
    if number < 24:
        return bytes([major | number])
    if number < 2**8:
        return bytes([major | 24, number])
    if number < 2**16:
        return struct.pack(">BH", major | 25, number)
    if number < 2**32:
        return struct.pack(">BI", major | 26, number)
    return struct.pack(">BQ", major | 27, number)


class _Unreadable(Exception):
    """Bytes that are no record."""


class _ValueReader:
    """Values as strangers may have written them, strictly (PROTOCOL 8.10).

    cbor2 would also take indefinite lengths, duplicate keys, stray breaks and
    dozens of tags, and does not tell how wide the head of an integer was.
    """

    def __init__(self, data: bytes, at: int = 0):
        self._data = data
        self.at = at

    def end(self) -> None:
        if self.at != len(self._data):
            raise _Unreadable("bytes are left over")

    def read(self, depth: int = 0) -> Any:
        first = self._byte()
        major, low = first >> 5, first & 31
        if major < 2:
            number = self._argument(low)
            whole = number if major == 0 else -1 - number
            return BigInt(whole) if low == 27 else whole
        if major == 2:
            return self._bytes(low)
        if major == 3:
            return self._text(low)
        if major == 4:
            return self._list(self._length(low, 1), depth + 1)
        if major == 5:
            return self._dict(self._length(low, 2), depth + 1)
        if major == 6:
            return self._date(self._argument(low))
        return self._simple(low)

    def read_head(self, major: int) -> int:
        first = self._byte()
        if first >> 5 != major:
            raise _Unreadable(f"byte {first} is not what was expected")
        return self._length(first & 31, 1)

    def _byte(self) -> int:
        if self.at >= len(self._data):
            raise _Unreadable("it ends too early")
        self.at += 1
        return self._data[self.at - 1]

    def _take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self._data):
            raise _Unreadable("it ends too early")
        part = self._data[self.at:end]
        self.at = end
        return part

    def _argument(self, low: int) -> int:
        if low < 24:
            return low
        if low > 27:
            raise _Unreadable("an indefinite length or reserved head")
        return int.from_bytes(self._take(1 << (low - 24)), "big")

    def _length(self, low: int, unit: int) -> int:
        # Believed only when so many bytes can be there.
        length = self._argument(low)
        if length * unit > len(self._data) - self.at:
            raise _Unreadable(f"a length of {length} beyond the end")
        return length

    def _bytes(self, low: int) -> bytes:
        return bytes(self._take(self._length(low, 1)))

    def _text(self, low: int) -> str:
        try:
            return str(self._take(self._length(low, 1)), "utf-8")
        except UnicodeDecodeError:
            raise _Unreadable("text that is no UTF-8") from None

    def _list(self, count: int, depth: int) -> List[Any]:
        self._check_depth(depth)
        return [self.read(depth) for _ in range(count)]

    def _dict(self, count: int, depth: int) -> Dict[str, Any]:
        self._check_depth(depth)
        items: Dict[str, Any] = {}
        for _ in range(count):
            first = self._byte()
            if first >> 5 != 3:
                raise _Unreadable("a key that is no text")
            key = self._text(first & 31)
            if key in items:
                raise _Unreadable("a key for the second time")
            items[key] = self.read(depth)
        return items

    def _check_depth(self, depth: int) -> None:
        if depth > _DEPTH_MAX:
            raise _Unreadable(f"more than {_DEPTH_MAX} levels")

    def _date(self, tag: int) -> Union[datetime.datetime, DistantDate]:
        first = self._data[self.at] if self.at < len(self._data) else 0xFF
        if tag != 1 or first >> 5 not in (0, 1, 7):
            raise _Unreadable(f"tag {tag} with what is no date")
        seconds = self.read(_DEPTH_MAX)
        if type(seconds) not in (int, float, BigInt) or not math.isfinite(seconds):
            raise _Unreadable("a date that is no number")
        whole = math.floor(seconds)
        ms = whole * 1000 + math.floor((seconds - whole) * 1000 + 0.5)
        if abs(ms) > _DATE_MAX:
            raise _Unreadable("a date beyond all dates")
        try:
            return _EPOCH + datetime.timedelta(milliseconds=ms)
        except OverflowError:
            return DistantDate(ms)

    def _simple(self, low: int) -> Any:
        if low in (20, 21):
            return low == 21
        if low == 22:
            return None
        if low == 23:
            return UNDEFINED
        if low not in (25, 26, 27):
            raise _Unreadable("a break or a simple value without meaning")
        size = 1 << (low - 24)
        number: float
        (number,) = struct.unpack({2: ">e", 4: ">f", 8: ">d"}[size], self._take(size))
        # JavaScript writes whole numbers beyond 32 bits in this way.
        if 2**32 <= abs(number) <= _SAFE and number.is_integer():
            return int(number)
        return number


HeaderValue = Union[str, int, float, bool, bytes]


def _encode_headers(headers: Optional[Mapping[str, HeaderValue]]) -> bytes:
    is_mapping = headers is None or isinstance(headers, collections.abc.Mapping)
    _require(is_mapping, "headers", "a mapping")
    if not headers:
        return b"\xf6"
    plain: Dict[str, HeaderValue] = {}
    for key, value in headers.items():
        if not isinstance(key, str):
            raise TypeError("Cannot encode message: a header's name must be a str")
        plain[key] = _plain_header(key, value)
    try:
        encoded: bytes = cbor2.dumps(plain)
    except UnicodeEncodeError:
        raise MomError(
            "value_unsupported",
            "Cannot encode message: a header has a lone surrogate",
        ) from None
    if len(encoded) > _HEADERS_MAX:
        raise MomError(
            "message_too_large",
            f"Cannot encode message: headers have more than {_HEADERS_MAX} bytes",
        )
    return encoded


def _plain_header(key: str, value: Any) -> HeaderValue:
    if isinstance(value, bool) or (
        isinstance(value, int) and abs(value) <= _SAFE
    ):
        return value
    if isinstance(value, (str, float, bytes)):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    raise MomError(
        "value_unsupported",
        f"Cannot encode message: header {key!r} is {value!r:.80}; it can be a "
        "str, a number below 2**53, a bool or bytes",
    )


def _encode_record(value: Any, headers: bytes, limit: int) -> bytes:
    content = b"\x82" + headers + _encode_value(value, limit)
    return _head(0x40, len(content)) + content


def _decode_record(content: bytes) -> Tuple[Dict[str, HeaderValue], Any]:
    """Headers and value of a record without its head."""
    reader = _ValueReader(content)
    try:
        if reader.read_head(4) != 2:
            raise _Unreadable("it is no array of headers and value")
        start = reader.at
        headers = reader.read()
        if headers is None:
            headers = {}
        elif not isinstance(headers, dict) or reader.at - start > _HEADERS_MAX:
            raise _Unreadable("headers are none")
        for key, item in headers.items():
            if type(item) is BigInt and abs(item) <= _SAFE:
                headers[key] = int(item)
            elif type(item) not in (str, int, float, bool, bytes):
                raise _Unreadable("a header that is none")
        value = reader.read()
        reader.end()
    except RecursionError:
        raise _Unreadable("it is nested too deeply") from None
    return headers, value


def _record_end(batch: bytes, at: int) -> Tuple[int, int]:
    """Where the content of the record at ``at`` begins and ends (PROTOCOL 8.1)."""
    reader = _ValueReader(batch, at)
    size = reader.read_head(2)
    return reader.at, reader.at + size


# Names, topics, addresses, tokens -----------------------------------------------

_FORBIDDEN = r"\x00-\x20\x7f-\x9f.:!\ud800-\udfff"
_BAD_TOPIC = re.compile(f"[{_FORBIDDEN}+#]")
_BAD_FILTER = re.compile(f"[{_FORBIDDEN}]")
_BAD_NAME = re.compile(f"[{_FORBIDDEN}+#/@$]")


def _problem(text: str, bad: "re.Pattern[str]", bytes_max: int) -> Optional[str]:
    if text == "":
        return "it is empty"
    found = bad.search(text)
    if found is not None:
        return f"{found.group()!r} at character {found.start()}"
    if len(text.encode()) > bytes_max:
        return f"it has more than {bytes_max} bytes"
    return None


def _require(is_right: bool, what: str, expected: str) -> None:
    if not is_right:
        raise TypeError(f"Cannot use {what}: expected {expected}")


def _check_topic(topic: str) -> None:
    _require(isinstance(topic, str), "topic", "a str")
    problem = _problem(topic, _BAD_TOPIC, 255)
    if problem is None and topic.startswith("$"):
        problem = 'topics that begin with "$" are mom\'s own'
    if problem is not None:
        raise MomError("topic_invalid", f"Cannot use topic {topic!r:.80}: {problem}")


def _check_filter(pattern: str) -> None:
    _require(isinstance(pattern, str), "filter", "a str")
    problem = _problem(pattern, _BAD_FILTER, 255)
    levels = pattern.split("/")
    for index, level in enumerate(levels):
        if problem is not None or not re.search("[+#]", level) or level == "+":
            continue
        if level != "#":
            problem = f"level {index} has a wildcard beside other characters"
        elif index < len(levels) - 1:
            problem = f'"#" at level {index} is not the last level'
    if problem is not None:
        raise MomError(
            "filter_invalid", f"Cannot use filter {pattern!r:.80}: {problem}"
        )


def _check_name(name: str) -> None:
    _require(isinstance(name, str), "name", "a str")
    problem = _problem(name, _BAD_NAME, 64)
    if problem is not None:
        raise MomError("name_invalid", f"Cannot use name {name!r:.80}: {problem}")


#: Path of a unix socket, or host and port.
_Address = Union[str, Tuple[str, int]]


def _parse_address(text: str) -> _Address:
    _require(isinstance(text, str), "address", "a str, HOST:PORT or unix:PATH")
    has_unix = hasattr(socket, "AF_UNIX")
    if has_unix and text.startswith("unix:") and len(text) > 5 and "\0" not in text:
        return text[5:]
    host = r"(?:\[([0-9a-fA-F:.%\w-]+)\]|([^\s/@?#\\\[\]:]+))"
    found = re.fullmatch(host + r":(\d{1,5})", text)
    if found is None or int(found.group(3)) > 65_535:
        raise MomError(
            "option_invalid",
            f"Cannot read address {text!r:.120}: expected HOST:PORT or unix:PATH",
        )
    return found.group(1) or found.group(2), int(found.group(3))


def _state_folder() -> Optional[str]:
    state = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(state):
        return f"{state}/mom"
    home = os.environ.get("HOME")
    return None if home is None else f"{home}/.local/state/mom"


def _default_address() -> str:
    """``MOM_DAEMON``, else where the daemon of this host listens by default."""
    told = os.environ.get("MOM_DAEMON")
    if told is not None:
        return told
    if not hasattr(socket, "AF_UNIX"):
        return "127.0.0.1:6272"
    folder = _state_folder()
    if folder is None:
        raise MomError(
            "option_invalid",
            "Cannot find the daemon: neither MOM_DAEMON, XDG_STATE_HOME nor HOME "
            "is set",
        )
    machine = _BAD_NAME.sub("-", socket.gethostname())
    machine = machine.encode()[:64].decode(errors="ignore") or "machine"
    if machine == "direct":
        machine = "direct-machine"
    return f"unix:{folder}/daemon/{machine}/mom.sock"


_LOOPBACK = re.compile(r"localhost|::1|0\.0\.0\.0|::|(::ffff:)?127(\.\d{1,3}){3}", re.I)
_LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1", "0.0.0.0", "::")
_TOKEN = re.compile(r"[\x21-\x7e]{16,512}")


def _find_token(address: _Address) -> Optional[str]:
    """What this system user's programs have for an address (PROTOCOL 3.10)."""
    if isinstance(address, str):
        return _read_token(f"{address}.token")
    host, port = address
    folder = _state_folder()
    if folder is None or not _LOOPBACK.fullmatch(host):
        return None
    others = [one for one in _LOCAL_HOSTS if one != host.lower()]
    for one in [host.lower(), *others]:
        token = _read_token(f"{folder}/tokens/{one.replace(':', '-')}_{port}")
        if token is not None:
            return token
    return None


def _read_token(path: str) -> Optional[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return _check_token(file.read().strip(), f'file "{path}"')
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise MomError(
            "option_invalid", f'Cannot read token file "{path}": {error}'
        ) from error


def _check_token(token: str, origin: str) -> str:
    if _TOKEN.fullmatch(token) is None:
        raise MomError(
            "option_invalid",
            f"Cannot use the token of {origin}: expected 16 to 512 visible ASCII "
            f"characters, got {len(token)} characters",
        )
    return token


# Messages and frames (PROTOCOL 2 and 10) ----------------------------------------


def _is_uint(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _SAFE


_KINDS: Dict[str, Callable[[Any], bool]] = {
    "uint": _is_uint,
    "bool": lambda value: isinstance(value, bool),
    "text": lambda value: isinstance(value, str),
    "bytes": lambda value: isinstance(value, bytes),
    "id": lambda value: isinstance(value, bytes) and len(value) == 16,
    "map": lambda value: isinstance(value, dict),
    "texts": lambda value: isinstance(value, list)
    and all(isinstance(one, str) for one in value),
    "uints": lambda value: _is_list_of(value, 1),
    "pairs": lambda value: _is_list_of(value, 2),
    "outcomes": lambda value: _is_list_of(value, 4),
    "parts": lambda value: _is_list_of(value, 5),
}


def _is_list_of(value: Any, group: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) % group == 0
        and all(_is_uint(one) for one in value)
    )


class _Kind:
    """One kind of message: its op, its fields in their order with their kinds.

    ``?`` behind a field's kind: it may be null; ``~``: it may be left off.
    """

    def __init__(self, name: str, op: int, fields: str):
        self.name = name
        self.op = op
        self.fields = [field.split(":") for field in fields.split()]
        self.required = sum(not kind.endswith("~") for _, kind in self.fields)


def _declare(*kinds: Tuple[str, int, str]) -> Dict[str, _Kind]:
    return {name: _Kind(name, op, fields) for name, op, fields in kinds}


_BY_NAME = _declare(
    (
        "HELLO",
        1,
        "versionMin:uint versionMax:uint software:text role:text machine:text? "
        "machineKey:id? nonce:id features:texts credit:uint",
    ),
    ("CHALLENGE", 2, "nonce:id"),
    ("AUTH", 3, "proof:bytes"),
    (
        "WELCOME",
        4,
        "version:uint software:text role:text machine:text features:texts "
        "maxMessageBytes:uint heartbeatMs:uint storeId:id epoch:uint",
    ),
    ("ERROR", 5, "request:uint? code:text message:text details:map?"),
    ("PING", 6, "token:uint"),
    ("PONG", 7, "token:uint"),
    ("GOAWAY", 8, "reason:text ms:uint"),
    ("REDIRECT", 9, "addresses:texts"),
    (
        "ATTACH",
        10,
        "request:uint ref:uint name:text named:bool incarnation:id create:bool "
        "handle:id credit:uint known:outcomes",
    ),
    (
        "ATTACHED",
        11,
        "request:uint ref:uint user:text incarnation:id suspect:uint epoch:uint",
    ),
    ("DETACH", 12, "request:uint ref:uint"),
    ("DESTROY", 13, "request:uint name:text incarnation:id? unless:id~"),
    (
        "SUBSCRIBE",
        14,
        "request:uint ref:uint filter:text from:text fromValue:uint manual:bool "
        "echo:bool",
    ),
    ("UNSUBSCRIBE", 15, "request:uint ref:uint filter:text"),
    ("OK", 16, "request:uint"),
    (
        "PUBLISH",
        17,
        "request:uint topic:text producer:id previous:uint firstSequence:uint "
        "count:uint attributes:map? batch:bytes wanted:uint~",
    ),
    ("RECEIPT", 18, "request:uint level:uint offset:uint?"),
    (
        "DELIVER",
        19,
        "targets:pairs logId:uint topic:text baseOffset:uint count:uint "
        "position:uint time:uint sender:text attributes:map? batch:bytes",
    ),
    ("GAP", 20, "targets:pairs logId:uint from:uint to:uint reason:text"),
    ("ACK", 21, "ref:uint number:uint outcomes:outcomes awaited:uint~"),
    ("CONFIRM", 22, "ref:uint number:uint"),
    ("CREDIT", 23, "ref:uint? total:uint"),
    ("INTRODUCE", 24, "producer:id user:text"),
    ("ENDED", 25, "request:uint producer:id"),
    ("NOTICE", 26, "kind:text details:map?"),
    # Of a feature that this client does not name in HELLO: nobody sends them to it.
    (
        "BUNDLE",
        27,
        "producer:id attributes:map? wanted:uint topics:texts parts:parts "
        "order:bytes batch:bytes",
    ),
    (
        "DELIVER_BUNDLE",
        28,
        "refs:uints position:uint time:uint sender:text attributes:map? "
        "topics:texts parts:parts order:bytes batch:bytes",
    ),
)
_BY_OP = {kind.op: kind for kind in _BY_NAME.values()}

#: A message of the wire: its fields, and its name under "type".
_Wire = Dict[str, Any]


def _encode_frame(message: _Wire) -> bytes:
    kind = _BY_NAME[message["type"]]
    content: List[Any] = [kind.op]
    content += [message.get(name) for name, _ in kind.fields]
    while content[-1] is None and len(content) > kind.required + 1:
        content.pop()
    encoded: bytes = cbor2.dumps(content)
    return struct.pack(">BI", 0x5A, len(encoded)) + encoded


def _decode_content(content: bytes) -> _Wire:
    """A frame's content. ``bad_frame``: the connection is of no use any more."""
    try:
        fields = cbor2.loads(content)
    except Exception as error:
        raise MomError("bad_frame", f"Cannot read frame: {error}") from error
    if not isinstance(fields, list) or not fields or type(fields[0]) is not int:
        raise MomError("bad_frame", "Cannot read frame: no array with an op")
    kind = _BY_OP.get(fields[0])
    if kind is None:
        raise MomError("unsupported", f"Cannot read frame: unknown op {fields[0]}")
    message: _Wire = {"type": kind.name}
    for index, (name, what) in enumerate(kind.fields):
        if len(fields) < index + 2:
            if index < kind.required:
                raise MomError(
                    "bad_message", f'Cannot read {kind.name}: "{name}" is missing'
                )
            break
        value = fields[index + 1]
        fits = (what[-1] == "?" and value is None) or _KINDS[what.rstrip("?~")](value)
        if not fits:
            raise MomError(
                "bad_message", f'Cannot read {kind.name}: "{name}" is no {what}'
            )
        message[name] = value
    return message


class _FrameReader:
    """Cuts what arrives into the contents of frames."""

    def __init__(self) -> None:
        self.limit = _HELLO_FRAME
        self._data = bytearray()

    def push(self, data: bytes) -> None:
        self._data += data

    def __iter__(self) -> Iterator[bytes]:
        data, at = self._data, 0
        try:
            while len(data) > at:
                if data[at] != 0x5A:
                    raise MomError("bad_frame", "Cannot read frame: none begins here")
                if len(data) - at < 5:
                    return
                size = int.from_bytes(data[at + 1:at + 5], "big")
                if size > self.limit:
                    raise MomError("bad_frame", f"Cannot read frame of {size} bytes")
                end = at + 5 + size
                if len(data) < end:
                    return
                content = bytes(data[at + 5:end])
                at = end
                yield content
        finally:
            del data[:at]


# What is handed over ------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Receipt:
    """How far a publish has come."""

    topic: str
    #: On whose disk the message is for certain: "daemon" or "broker".
    level: str
    #: The message's number in the topic, if it is known.
    offset: Optional[int]


@dataclasses.dataclass(frozen=True)
class Event:
    """News of a handle, from ``Mom.events``.

    ``up``, ``down``: the connection. ``rejected``: publishes that the daemon had
    acknowledged were refused by the broker for good. ``replaced``: the store behind
    is another one than before. ``lost``: publishes that had been acknowledged are
    not in it.
    """

    type: str
    reason: str = ""
    topic: Optional[str] = None
    count: Optional[int] = None


class Message:
    """A message that was received."""

    __slots__ = (
        "topic",
        "sender",
        "offset",
        "time",
        "headers",
        "value",
        "redelivered",
        "_owner",
        "_log",
        "_serial",
    )

    #: The topic it was published to.
    topic: str
    #: Who published it: ``name@machine``.
    sender: str
    #: Its number in the topic, from 0.
    offset: int
    #: When the broker accepted it: milliseconds since 1970.
    time: int
    #: Its headers; empty when there are none.
    headers: Dict[str, HeaderValue]
    #: What was published.
    value: Any
    #: Whether a handle before this one may have received it already.
    redelivered: bool

    _owner: "Mom"
    _log: int
    #: Under which its acknowledgement is confirmed; 0 while it is held.
    _serial: int

    @property
    def epoch(self) -> int:
        """The number of the broker's store: after a restore, or the loss of its disk,
        it is another one, and what ``offset`` names may be another message."""
        return _epoch_of(self._log)

    def ack(self, timeout: Optional[float] = None) -> None:
        """Acknowledges it, under a manual subscription; else it already is.

        Returns when who answers for the message has committed that. Twice does
        nothing more than once. Raises ``outcome_unknown``, ``daemon_unavailable``
        (it is told all the same when the daemon is back), ``closed``.
        """
        self._owner._ack(self, timeout)

    def __repr__(self) -> str:
        return f"<Message {self.topic} {self.offset} from {self.sender}>"


# Acknowledgements (PROTOCOL 7) --------------------------------------------------

_HELD, _DELIVERED, _EXPIRED, _UNDECODABLE = 0, 2, 3, 4


def _epoch_of(log_id: int) -> int:
    return log_id >> 21


def _add_range(outcomes: List[int], kind: int, log: int, start: int, end: int) -> None:
    if len(outcomes) >= 4 and outcomes[-4:-2] == [kind, log] and outcomes[-1] == start:
        outcomes[-1] = end
    else:
        outcomes += (kind, log, start, end)


class _Acks:
    """What became of what a handle received, until that is confirmed.

    Serials count ACKs over the handle's life, numbers on the wire since ATTACHED.
    """

    def __init__(self) -> None:
        self.unconfirmed = 0
        self.confirmed = 0
        #: Serials of which nobody can know: the store was replaced under them.
        self.unknown: Set[int] = set()
        #: Serials that somebody waits for.
        self.awaited: Dict[int, int] = collections.Counter()
        self._base = 0
        self._serial = 1
        self._open: List[int] = []
        self._open_count = 0
        self._sent: Deque[Tuple[int, List[int], int]] = collections.deque()
        self._held: Dict[int, Set[int]] = {}

    @property
    def is_settled(self) -> bool:
        return not self._open and not self._sent

    @property
    def is_full(self) -> bool:
        return len(self._open) >= _ACK_RANGES * 4

    def settle(self, kind: int, log: int, start: int, end: int) -> int:
        self.unconfirmed += end - start
        return self._note(kind, log, start, end)

    def hold(self, log: int, offset: int) -> None:
        self._held.setdefault(log, set()).add(offset)
        self.unconfirmed += 1

    def release(self, log: int, offset: int) -> int:
        held = self._held.get(log, set())
        held.discard(offset)
        if not held:
            self._held.pop(log, None)
        return self._note(_DELIVERED, log, offset, offset + 1)

    def next(self) -> Optional[_Wire]:
        """The fields of the ACK to send now, if there is one."""
        if not self._open:
            return None
        serial, outcomes = self._serial, self._open
        self._close()
        return {
            "number": serial - self._base,
            "outcomes": outcomes,
            # Who does not wait lets it go with another commit (PROTOCOL 7.6).
            "awaited": 1 if serial in self.awaited else None,
        }

    def confirm(self, number: int) -> None:
        self._confirm_through(self._base + number)

    def known(self) -> List[int]:
        """What ATTACH lists (PROTOCOL 5.6)."""
        if self._open:
            self._close()
        known: List[int] = []
        for _, outcomes, _ in self._sent:
            known += outcomes
        for log, held in self._held.items():
            for offset in sorted(held):
                _add_range(known, _HELD, log, offset, offset + 1)
        return known

    def attached(self, epoch: Optional[int]) -> None:
        """What ATTACH listed is committed; by a broker, if it is of its epoch."""
        for serial, outcomes, _ in self._sent:
            logs = outcomes[1::4]
            if epoch is not None and any(_epoch_of(log) != epoch for log in logs):
                if serial in self.awaited:
                    self.unknown.add(serial)
        self._base = self._serial - 1
        self._confirm_through(self._base)

    def _note(self, kind: int, log: int, start: int, end: int) -> int:
        self._open_count += end - start
        _add_range(self._open, kind, log, start, end)
        return self._serial

    def _close(self) -> None:
        self._sent.append((self._serial, self._open, self._open_count))
        self._serial += 1
        self._open, self._open_count = [], 0

    def _confirm_through(self, serial: int) -> None:
        while self._sent and self._sent[0][0] <= serial:
            self.confirmed, _, count = self._sent.popleft()
            self.unconfirmed -= count


# Deliveries (PROTOCOL 6) --------------------------------------------------------


class _Window:
    """How much the other side may send (PROTOCOL 6.6): closed until the app asks,
    then as wide as the app is quick. Costs are totals since ATTACHED."""

    def __init__(self) -> None:
        self.record_max = _MESSAGE_MAX + _FRAME_OVERHEAD
        self._width = 0
        self.restart()

    def restart(self) -> int:
        self._granted = self._width
        self._taken = self._received = self._mark = 0
        self._mark_at = -math.inf
        return self._granted

    def open(self) -> None:
        self._width = self._width or _CREDIT_MIN

    def receive(self, cost: int) -> None:
        self._received += cost
        if self._received > self._granted + self.record_max:
            raise MomError(
                "bad_message",
                f"Cannot take delivery: {self._received} bytes were sent, "
                f"{self._granted} granted",
            )

    def take(self, cost: int) -> None:
        self._taken += cost
        if self._taken - self._mark < self._width:
            return
        now = time.monotonic()
        if now - self._mark_at <= _QUICK_SECONDS:
            self._width = min(self._width * 2, _CREDIT_MAX)
        self._mark, self._mark_at = self._taken, now

    def grant(self, is_resting: bool) -> Optional[int]:
        """The new total, if it is worth telling: all of it when the app waits, for a
        large record passes only a window that is free."""
        total = self._taken + self._width
        more = total - self._granted
        if more <= 0 or (not is_resting and more < self._width / 4):
            return None
        self._granted = total
        return total


class _Inbound:
    """A delivery, and how far it is taken."""

    def __init__(self, message: _Wire, flags: int, suspect: Tuple[int, int]):
        self.message = message
        self.log: int = message["logId"]
        self.batch: bytes = message["batch"]
        self.cost = len(self.batch) + _DELIVER_COST
        self.is_manual = flags & 1 != 0
        position, epoch = suspect
        self.is_redelivered = flags & 2 != 0 or (
            message["position"] <= position and _epoch_of(self.log) == epoch
        )
        left: Any = (message["attributes"] or {}).get(1)
        is_limited = _is_uint(left)
        self.expires_at = time.monotonic() + left / 1000 if is_limited else math.inf
        self.offset: int = message["baseOffset"]
        self.end: int = self.offset + message["count"]
        self.at = 0


# Publishing (PROTOCOL 8) --------------------------------------------------------


class _Stream:
    """One (producer, topic): how far it has come."""

    def __init__(self, topic: str, replacements: int):
        self.topic = topic
        #: Highest sequence that the other side is known to have.
        self.accepted = 0
        #: Highest sequence that was given out.
        self.end = 0
        #: Highest sequence that was sent on this connection and may be answered.
        self.sent = 0
        #: How often the store had been replaced when it answered last.
        self.replacements = replacements


class _Batch:
    """Records on their way; in the order of publishing over all topics."""

    def __init__(
        self,
        order: int,
        stream: _Stream,
        count: int,
        data: bytes,
        is_wanted: bool,
        attributes: Dict[int, int],
        expires_at: Optional[float],
    ):
        self.order = order
        self.stream = stream
        self.first = stream.end + 1
        self.last = stream.end = stream.end + count
        self.data = data
        self.is_wanted = is_wanted
        #: But for that of ``expires_at`` (PROTOCOL 8.5).
        self.attributes = attributes
        self.expires_at = expires_at
        #: Number of the last sending, None while it waits to be sent.
        self.request: Optional[int] = None
        self.previous = 0
        self.sendings = 0
        #: The daemon has it, the broker's answer is waited for.
        self.is_noted = False
        #: Nobody waits for the answer.
        self.is_given_up = False
        self.answer: Optional[Tuple[str, Optional[int]]] = None
        self.error: Optional[MomError] = None

    @property
    def is_done(self) -> bool:
        return self.answer is not None or self.error is not None


class _Call:
    """A request that is answered with OK or ERROR, again on the next connection."""

    def __init__(self, message: _Wire, done_code: Optional[str]):
        self.message = message
        #: What the answer is when an earlier sending has been carried out.
        self.done_code = done_code
        self.sendings = 0
        self.lost_at: Optional[float] = None
        self.due = math.inf
        self.is_done = False
        self.error: Optional[MomError] = None

    def finish(self, error: Optional[MomError] = None) -> None:
        self.is_done = True
        self.error = error


# The connection (PROTOCOL 3, 4 and 12) ------------------------------------------

#: The user is gone, or somebody else's: the handle is at its end.
_FINAL_LATER = {"unauthorized", "protocol_version", "name_in_use", "user_expired"}
#: At the first attempt, what the other side cannot do it will not learn.
_FINAL_AT_FIRST = _FINAL_LATER | {
    "name_invalid",
    "bad_frame",
    "bad_message",
    "unsupported",
    "option_invalid",
}


class _Line:
    """The way to the daemon: connects, opens the conversation, attaches the user,
    reads, gives signs of life, and begins again when the connection is lost.

    All that it shares with the callers' threads is under the handle's lock.
    """

    def __init__(self, owner: "Mom", address: str, token: Optional[str]):
        self._thread = threading.Thread(target=self._run, name="mom", daemon=True)
        self._owner = owner
        self._lock = owner._lock
        self.address = address
        self._parsed = _parse_address(address)
        self._token = token
        self._wake_in, self._wake_out = socket.socketpair()
        for end in (self._wake_in, self._wake_out):
            end.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        self._socket: Optional[socket.socket] = None
        self._out: Deque[memoryview] = collections.deque()
        self._out_error: Optional[OSError] = None
        self._answer_bytes = 0
        self._pings = 0
        self.is_ending = False
        self.is_up = False
        self.reason: Optional[MomError] = None
        # Of the user and the store behind.
        self.is_known = False
        self.incarnation = secrets.token_bytes(16)
        self._store: Optional[Tuple[bytes, int]] = None
        self._attempts = 0

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    # Called under the lock, by any thread.

    def send(self, message: _Wire) -> None:
        if self._socket is None:
            return
        self._said = time.monotonic()
        self._out.append(memoryview(_encode_frame(message)))
        if len(self._out) == 1:
            self._write()
        if self._out or self._out_error is not None:
            self.wake()

    def end(self) -> None:
        self.is_ending = True
        self.wake()

    def wake(self) -> None:
        if threading.current_thread() is self._thread:
            return
        try:
            self._wake_out.send(b"\0")
        except (BlockingIOError, OSError):
            pass  # It is awake already, or at its end.

    def _write(self) -> None:
        assert self._socket is not None
        try:
            while self._out:
                size = self._socket.send(self._out[0])
                if size < len(self._out[0]):
                    self._out[0] = self._out[0][size:]
                else:
                    self._out.popleft()
            self._answer_bytes = 0
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._out_error = error

    # The thread.

    def _run(self) -> None:
        try:
            while not self.is_ending:
                self._attempt()
        except BaseException as error:  # A defect must not leave callers waiting.
            with self._lock:
                self._owner._fail(MomError("internal", f"Cannot go on: {error!r}"))
            raise
        finally:
            self._selector.close()
            self._wake_in.close()
            self._wake_out.close()

    def _attempt(self) -> None:
        try:
            self._converse()
        except MomError as error:
            self.reason = error
            self._tell_frame(error)
        except OSError as error:
            text = f'Cannot connect to "{self.address}": {error}'
            self.reason = MomError("daemon_unavailable", text)
        with self._lock:
            self._lose()
            if self.is_ending:
                return
            final = _FINAL_LATER if self.is_known else _FINAL_AT_FIRST
            assert self.reason is not None
            if self.reason.code in final:
                self.is_ending = True
                self._owner._fail(self.reason)
                return
            pause = self._next_pause()
            self._owner._tell(Event("down", str(self.reason)))
        self._sleep(pause)

    def _tell_frame(self, error: MomError) -> None:
        """Says why, before the end (PROTOCOL 2.2)."""
        if error.code != "bad_frame":
            return
        text = error.args[0]
        with self._lock:
            self.send({"type": "ERROR", "code": error.code, "message": text})

    def _lose(self) -> None:
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None
        self._out.clear()
        self._out_error = None
        if self.is_up:
            self.is_up = False
            # What breaks again and again once it is attached is a failed try, too.
            if time.monotonic() - self._up_at >= _RECONNECT_SETTLED:
                self._attempts = 0
            self._owner._on_lost()

    def _next_pause(self) -> float:
        # Full jitter: many handles that lost the same daemon do not come at once.
        longest = min(
            _RECONNECT_MIN * float(1 << min(self._attempts, 10)),
            _RECONNECT_MAX,
            max(_RECONNECT_MIN, self._owner._reconnect_timeout / 2),
        )
        self._attempts += 1
        return random.random() * longest

    def _sleep(self, seconds: float) -> None:
        due = time.monotonic() + seconds
        while not self.is_ending and time.monotonic() < due:
            self._select(due - time.monotonic())

    def _select(self, seconds: float, wants_write: bool = False) -> Set[str]:
        """What is ready: "read", "write"."""
        if self._socket is not None:
            wanted = selectors.EVENT_READ
            if wants_write:
                wanted |= selectors.EVENT_WRITE
            self._selector.modify(self._socket, wanted)
        ready = set()
        for key, mask in self._selector.select(max(0.0, min(seconds, 3600.0))):
            if key.fileobj is self._wake_in:
                try:
                    self._wake_in.recv(4096)
                except BlockingIOError:
                    pass
                continue
            if mask & selectors.EVENT_READ:
                ready.add("read")
            if mask & selectors.EVENT_WRITE:
                ready.add("write")
        return ready

    def _dial(self, due: float) -> None:
        """Opens the socket; ends early when the handle is closed."""
        places: List[Tuple[int, Any]] = []
        if isinstance(self._parsed, str):
            places.append((socket.AF_UNIX, self._parsed))
        else:
            found = socket.getaddrinfo(*self._parsed, type=socket.SOCK_STREAM)
            places += [(family, place) for family, _, _, _, place in found]
        last: Optional[OSError] = None
        for family, place in places:
            try:
                return self._dial_one(family, place, due)
            except OSError as error:
                last = error
        assert last is not None
        raise last

    def _dial_one(self, family: int, place: Any, due: float) -> None:
        dialled = socket.socket(family, socket.SOCK_STREAM)
        try:
            dialled.setblocking(False)
            if family != getattr(socket, "AF_UNIX", None):
                dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                dialled.connect(place)
            except BlockingIOError:
                self._wait_connected(dialled, due)
        except BaseException:
            dialled.close()
            raise
        with self._lock:
            self._selector.register(dialled, selectors.EVENT_READ)
            self._socket = dialled

    def _wait_connected(self, dialled: socket.socket, due: float) -> None:
        self._selector.register(dialled, selectors.EVENT_WRITE)
        try:
            while not self._select(due - time.monotonic()):
                if self.is_ending or time.monotonic() >= due:
                    raise TimeoutError(f"no answer within {_HELLO_SECONDS} s")
        finally:
            self._selector.unregister(dialled)
        code = dialled.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code != 0:
            raise OSError(code, os.strerror(code))

    def _converse(self) -> None:
        """One connection, from dialling to its end; raises why it ended."""
        self._frames = _FrameReader()
        self._heard = self._awake = self._said = self._asked = time.monotonic()
        self._due = self._heard + _HELLO_SECONDS
        self._on_frame: Callable[[_Wire], None] = self._on_opening
        token = self._token
        if token is None:
            token = _find_token(self._parsed)
        self._dial(self._due)
        self._proof_token = token
        self._nonce = secrets.token_bytes(16)
        with self._lock:
            self.send({
                "type": "HELLO",
                "versionMin": _VERSION,
                "versionMax": _VERSION,
                "software": _SOFTWARE,
                "role": "app",
                "nonce": self._nonce,
                "features": [],
                # The window of the one user is the window of the connection.
                "credit": _SAFE,
            })
        while True:
            self._turn()
            if self.is_ending:
                return self._drain()

    def _drain(self) -> None:
        due = time.monotonic() + 1.0
        while self._out and self._out_error is None and time.monotonic() < due:
            self._select(0.05, True)
            with self._lock:
                self._write()

    def _turn(self) -> None:
        """Waits for something, and deals with it."""
        now = time.monotonic()
        timer = self._next_timer()
        ready = self._select(timer - now, bool(self._out))
        # Timers come before sockets: nobody is dead because we stood still.
        if time.monotonic() - timer >= self._patience() / 4:
            self._awake = time.monotonic()
        data = b""
        if "read" in ready:
            assert self._socket is not None
            try:
                data = self._socket.recv(256 * 1024)
            except (BlockingIOError, InterruptedError):
                ready.discard("read")
        with self._lock:
            if "write" in ready:
                self._write()
            if "read" in ready:
                if data == b"":
                    raise self._ended()
                self._take(data)
            if self._out_error is not None:
                raise self._out_error
            self._look_at_time(time.monotonic())

    def _take(self, data: bytes) -> None:
        self._heard = time.monotonic()
        self._frames.push(data)
        for content in self._frames:
            try:
                message = _decode_content(content)
            except MomError as error:
                self._refuse(error)
                continue
            kind = message["type"]
            if kind == "PING":
                self._answer({"type": "PONG", "token": message["token"]})
            elif kind == "ERROR" and message["request"] is None:
                # It says why the connection ends.
                self.reason = _as_error(message)
                self._is_told = True
            elif kind != "PONG":
                self._on_frame(message)

    _is_told = False

    def _ended(self) -> MomError:
        if self._is_told and self.reason is not None:
            self._is_told = False
            return self.reason
        return MomError(
            "daemon_unavailable", f'Connection to "{self.address}" was closed'
        )

    def _refuse(self, error: MomError) -> None:
        if error.code == "bad_frame" or not self.is_up:
            raise error
        self._answer({
            "type": "ERROR",
            "request": None,
            "code": error.code,
            "message": error.args[0],
        })

    def _answer(self, message: _Wire) -> None:
        self.send(message)
        self._answer_bytes += 32 if self._out else 0
        if self._answer_bytes > _ANSWERS_MAX:
            raise MomError("bad_message", "Connection given up: it reads no answers")

    # Opening (PROTOCOL 3).

    def _on_opening(self, message: _Wire) -> None:
        kind = message["type"]
        if kind == "ERROR":
            raise _as_error(message)
        if kind == "CHALLENGE":
            if self._proof_token is None:
                raise MomError(
                    "unauthorized", f'Cannot connect to "{self.address}": no token'
                )
            proven = b"mom1" + self._nonce + message["nonce"]
            key = self._proof_token.encode()
            proof = hmac.new(key, proven, hashlib.sha256).digest()
            return self.send({"type": "AUTH", "proof": proof})
        if kind != "WELCOME":
            raise MomError("bad_message", f"Cannot open: got {kind}")
        if message["version"] != _VERSION:
            raise MomError("protocol_version", f"Cannot speak {message['version']}")
        if not 1 <= message["maxMessageBytes"] <= _ANNOUNCED_MAX:
            raise MomError("bad_message", "Cannot take messages of up to so many bytes")
        if not 1 <= message["epoch"] < 2**32:
            raise MomError("bad_message", f"Cannot know epoch {message['epoch']}")
        self._welcome = message
        self._frames.limit = message["maxMessageBytes"] + _FRAME_OVERHEAD
        self._due = time.monotonic() + _HELLO_SECONDS
        self._on_frame = self._on_attaching
        self._attach()

    def _attach(self) -> None:
        credit, known = self._owner._on_attaching()
        self._attach_request = self._owner._next_request()
        self.send({
            "type": "ATTACH",
            "request": self._attach_request,
            "ref": _USER_REF,
            "name": self._owner._name,
            "named": self._owner._is_named,
            "incarnation": self.incarnation,
            "create": not self.is_known,
            "handle": self._owner._handle_id,
            "credit": credit,
            "known": known,
        })

    def _on_attaching(self, message: _Wire) -> None:
        # What else comes is of the flow before (PROTOCOL 5.5).
        if message.get("request") != self._attach_request:
            return
        store = (self._welcome["storeId"], self._welcome["epoch"])
        if message["type"] == "ERROR":
            error = _as_error(message)
            is_news = self.is_known and self._store != store
            if error.code != "user_expired" or not is_news:
                raise error
            # A store that was replaced does not know the user (PROTOCOL 5.13).
            self.is_known = False
            return self._attach()
        if message["type"] != "ATTACHED":
            return
        is_replaced = self._store is not None and self._store != store
        self._store = store
        self.incarnation = message["incarnation"]
        self.is_known = self.is_up = True
        self._up_at = time.monotonic()
        self._due = math.inf
        self._on_frame = self._owner._on_message
        self._owner._on_attached(message, self._welcome, is_replaced)

    # Time (PROTOCOL 3.4, 4.2).

    def _patience(self) -> float:
        if not self.is_up:
            return _HELLO_SECONDS
        return float(self._welcome["heartbeatMs"] / 1000 * _PATIENCE)

    def _next_timer(self) -> float:
        timer = min(self._due, self._owner._next_due())
        if not self.is_up:
            return timer
        interval: float = self._welcome["heartbeatMs"] / 1000
        quiet = min(self._heard, self._said)
        patience = max(self._heard, self._awake) + self._patience()
        return min(timer, max(quiet, self._asked) + interval, patience)

    def _look_at_time(self, now: float) -> None:
        if now >= self._due:
            raise MomError(
                "daemon_unavailable",
                f'Cannot connect to "{self.address}": no answer within '
                f"{_HELLO_SECONDS} s",
            )
        self._owner._expire_calls(now)
        if not self.is_up:
            return
        if now - max(self._heard, self._awake) >= self._patience():
            raise MomError(
                "daemon_unavailable",
                f'Connection to "{self.address}" given up: silent for '
                f"{now - self._heard:.1f} s",
            )
        interval = self._welcome["heartbeatMs"] / 1000
        if now - max(min(self._heard, self._said), self._asked) >= interval:
            self._asked = now
            self._pings += 1
            self.send({"type": "PING", "token": self._pings})


def _as_error(message: _Wire) -> MomError:
    return MomError(message["code"], message["message"])


# The handle ---------------------------------------------------------------------

Start = Union[str, int, datetime.datetime]


class Mom:
    """A handle: publishes, subscribes and receives for one user.

    Making one is the original's create: of the user ``name``, whose subscriptions
    and waiting messages outlive handle, daemon and broker; without a name of a new
    user that ends with its handle. ``daemon`` (or ``broker``, for a handle without a
    daemon) is ``HOST:PORT`` or ``unix:PATH``; by default ``MOM_DAEMON``, else where
    this machine's daemon listens. The token is found by itself for an address of
    this machine.

    Raises ``name_invalid``, ``option_invalid``, ``unauthorized``, ``name_in_use``,
    ``protocol_version``, and ``daemon_unavailable`` if no connection succeeds within
    ``reconnect_timeout`` seconds.
    """

    def __init__(
        self,
        name: Optional[str] = None,
        *,
        daemon: Optional[str] = None,
        broker: Optional[str] = None,
        token: Optional[str] = None,
        reconnect_timeout: float = 10.0,
    ):
        if daemon is not None and broker is not None:
            raise MomError(
                "option_invalid",
                "Cannot connect: daemon and broker are given, a handle has one of them",
            )
        if name is not None:
            _check_name(name)
        if token is not None:
            _require(isinstance(token, str), "token", "a str")
            _check_token(token, "the caller")
        _check_seconds("reconnect_timeout", reconnect_timeout)
        self._is_named = name is not None
        self._name = f"anon-{secrets.token_hex(8)}" if name is None else name
        self._reconnect_timeout = reconnect_timeout
        self._settings: Dict[str, Optional[str]] = {
            "daemon": daemon,
            "broker": broker,
            "token": token,
        }
        self._handle_id = secrets.token_bytes(16)
        self._lock = threading.Condition(threading.RLock())
        self._requests = 0
        self._user = ""
        self._is_ready = False
        self._is_away_since: Optional[float] = time.monotonic()
        #: What new calls are refused with.
        self._refusal: Optional[MomError] = None
        #: What every call ends with.
        self._failure: Optional[MomError] = None
        self._is_closing = False
        self._events: Deque[Event] = collections.deque(maxlen=_EVENTS_MAX)
        self._calls: Dict[int, _Call] = {}
        #: What was subscribed to, None for what was ended: for a store that is new.
        self._subscriptions: Dict[str, Optional[_Wire]] = {}
        # Publishing.
        self._streams: Dict[str, _Stream] = {}
        #: All that have no final answer, by their place in the order of publishing.
        self._batches: Dict[int, _Batch] = {}
        self._orders = 0
        #: Those that wait to be sent, in that order, and those that were, by request.
        self._unsent: Deque[_Batch] = collections.deque()
        self._asked: Dict[int, _Batch] = {}
        #: Bytes that were sent and not answered at all.
        self._in_flight = 0
        self._replacements = 0
        self._probe: Optional[int] = None
        self._server_level = "daemon"
        self._message_max = _MESSAGE_MAX
        # Receiving.
        self._acks = _Acks()
        self._window = _Window()
        self._inbound: Deque[_Inbound] = collections.deque()
        self._suspect = (0, 0)
        self._receivers = 0
        self._line = _Line(self, broker or daemon or _default_address(), token)
        self._start()

    @classmethod
    def create(cls, name: Optional[str] = None, **options: Any) -> "Mom":
        """The same as ``Mom(name, ...)``, by the original's word."""
        return cls(name, **options)

    def another(self) -> "Mom":
        """Another handle where this one is connected: of an unnamed user, with a
        mailbox of its own. For libraries that speak over mom and must not take
        messages from their app."""
        self._check_open()
        return Mom(reconnect_timeout=self._reconnect_timeout, **self._settings)

    @property
    def user(self) -> str:
        """The user: ``name@machine``."""
        return self._user

    def __enter__(self) -> "Mom":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __iter__(self) -> Iterator[Message]:
        """All messages, one after another, until the handle is closed."""
        while True:
            try:
                message = self.receive()
            except MomError as error:
                if error.code == "closed":
                    return
                raise
            if message is not None:
                yield message

    # Publishing.

    def publish(
        self,
        topic: str,
        value: Any,
        *,
        level: Optional[str] = None,
        headers: Optional[Mapping[str, HeaderValue]] = None,
        expires: Optional[float] = None,
        epoch: Optional[int] = None,
        timeout: Optional[float] = None,
    ) -> Receipt:
        """Publishes one value; returns when it is on a disk, and says on whose.

        ``level="broker"`` waits for the broker's; by default the first that has it
        counts. ``expires``: not delivered later than so many seconds from now.
        ``epoch``: only for the broker's store with that number (``Message.epoch``).
        ``timeout``: how long to wait; ``outcome_unknown`` then, it may still arrive.

        Raises ``topic_invalid``, ``value_unsupported``, ``message_too_large``,
        ``option_invalid``: nothing was sent. ``storage_full``, ``outbox_full``,
        ``store_replaced``: refused. ``daemon_unavailable``: it was never sent and
        will not be. ``outcome_unknown``, ``closed``.
        """
        options = {"level": level, "headers": headers, "expires": expires}
        options["epoch"] = epoch
        return self._publish(topic, [value], timeout=timeout, **options)[0]

    def publish_many(
        self,
        topic: str,
        values: Iterable[Any],
        *,
        level: Optional[str] = None,
        headers: Optional[Mapping[str, HeaderValue]] = None,
        expires: Optional[float] = None,
        epoch: Optional[int] = None,
        timeout: Optional[float] = None,
    ) -> List[Receipt]:
        """Publishes many values to one topic, in their order, a receipt for each. If
        one of them cannot be sent none is. Options and errors as ``publish``."""
        is_one = isinstance(values, (str, bytes, collections.abc.Mapping))
        _require(not is_one, "values", "a list or the like")
        options = {"level": level, "headers": headers, "expires": expires}
        options["epoch"] = epoch
        return self._publish(topic, list(values), timeout=timeout, **options)

    def _publish(
        self,
        topic: str,
        values: List[Any],
        *,
        level: Any,
        headers: Any,
        expires: Any,
        epoch: Any,
        timeout: Any,
    ) -> List[Receipt]:
        began = time.monotonic()
        self._check_open()
        _check_topic(topic)
        if level not in (None, "broker"):
            raise MomError(
                "option_invalid",
                f'Cannot publish: option "level": must be "broker", not {level!r}',
            )
        if expires is not None:
            _check_seconds("expires", expires)
            if expires < 0.001:
                raise MomError(
                    "option_invalid",
                    'Cannot publish: option "expires": must be at least 0.001',
                )
        if epoch is not None:
            is_int = isinstance(epoch, int) and not isinstance(epoch, bool)
            _require(is_int, 'option "epoch"', "an int")
            if not 1 <= epoch <= _SAFE:
                raise MomError(
                    "option_invalid",
                    f'Cannot publish: option "epoch": must be at least 1, not {epoch}',
                )
        _check_timeout(timeout)
        head = _encode_headers(headers)
        records = [_encode_record(one, head, self._message_max) for one in values]
        expires_at = None if expires is None else began + expires
        attributes = {} if epoch is None else {10: epoch}
        is_wanted = level == "broker"
        with self._lock:
            self._check_open()
            batches = self._enqueue(topic, records, is_wanted, expires_at, attributes)
            self._pump()
            waiting = collections.deque(batches)
            outcome = self._wait(began, timeout, lambda: _are_done(waiting))
            if outcome != "done":
                raise self._no_receipt(topic, batches, outcome)
            return _receipts(batches)

    def _post(self, topic: str, value: Any, expires: float) -> bool:
        """Publishes without waiting, for who asks again until there is an answer.
        Returns whether it is on its way: while the daemon is away nothing is."""
        record = _encode_record(value, b"\xf6", self._message_max)
        with self._lock:
            self._check_open()
            if not self._line.is_up:
                return False
            until = time.monotonic() + expires
            (batch,) = self._enqueue(topic, [record], True, until, {})
            batch.is_given_up = True
            self._pump()
            return True

    def _enqueue(
        self,
        topic: str,
        records: List[bytes],
        is_wanted: bool,
        expires_at: Optional[float],
        attributes: Dict[int, int],
    ) -> List[_Batch]:
        stream = self._streams.get(topic)
        if stream is None:
            stream = self._streams[topic] = _Stream(topic, self._replacements)
        limit = min(_BATCH_BYTES, self._message_max + _BATCH_MIN)
        batches = []
        at = 0
        while at < len(records):
            size, end = len(records[at]), at + 1
            while end < len(records) and size + len(records[end]) <= limit:
                size += len(records[end])
                end += 1
            data = records[at] if end == at + 1 else b"".join(records[at:end])
            self._orders += 1
            order, count = self._orders, end - at
            batch = _Batch(
                order, stream, count, data, is_wanted, attributes, expires_at
            )
            self._batches[order] = batch
            batches.append(batch)
            at = end
        self._unsent += batches
        return batches

    def _pump(self) -> None:
        """Sends what waits, in the order of publishing."""
        while self._unsent and self._line.is_up and self._probe is None:
            if self._in_flight > _SEND_WINDOW:
                return
            batch = self._unsent.popleft()
            if batch.order in self._batches:
                self._send_batch(batch)

    def _send_batch(self, batch: _Batch) -> None:
        stream = batch.stream
        known = max(stream.accepted, stream.sent)
        # What is known to be there may lie behind a batch that is sent again.
        batch.previous = min(known, batch.first - 1)
        stream.sent = batch.last
        batch.request = self._next_request()
        batch.sendings += 1
        self._asked[batch.request] = batch
        self._in_flight += len(batch.data)
        attributes = dict(batch.attributes)
        if batch.expires_at is not None:
            left = math.floor((batch.expires_at - time.monotonic()) * 1000)
            attributes[1] = max(0, left)
        # How far a store that was replaced has come is not known: nothing overtakes
        # the question.
        if stream.replacements != self._replacements:
            self._probe = batch.request
        self._line.send({
            "type": "PUBLISH",
            "request": batch.request,
            "topic": stream.topic,
            "producer": self._handle_id,
            "previous": batch.previous,
            "firstSequence": batch.first,
            "count": batch.last - batch.first + 1,
            "attributes": attributes or None,
            "batch": batch.data,
            "wanted": 1 if batch.is_wanted else None,
        })

    def _recall(self, batch: _Batch) -> None:
        """A batch that was sent waits for no answer to that sending any more."""
        if batch.request is None:
            return
        self._asked.pop(batch.request, None)
        if not batch.is_noted:
            self._in_flight -= len(batch.data)
        batch.request = None
        batch.is_noted = False

    def _settle(self, batch: _Batch) -> None:
        self._recall(batch)
        self._batches.pop(batch.order, None)

    def _on_receipt(self, message: _Wire) -> None:
        batch = self._asked.get(message["request"])
        if batch is None:
            return
        self._probed(batch)
        batch.stream.accepted = max(batch.stream.accepted, batch.last)
        if message["level"] != 0 or not batch.is_wanted:
            self._settle(batch)
            level = "broker" if message["level"] == 1 else "daemon"
            batch.answer = (level, message["offset"])
        elif not batch.is_noted:
            batch.is_noted = True
            self._in_flight -= len(batch.data)
        self._pump()

    def _on_publish_error(self, message: _Wire) -> None:
        batch = self._asked.get(message["request"] or 0)
        if batch is None:
            return
        last: Any = (message["details"] or {}).get("last")
        is_probe = batch.request == self._probe
        if message["code"] == "out_of_sequence" and _is_uint(last):
            self._send_again(batch, last)
        else:
            # Its numbers become a hole (PROTOCOL 8.8).
            self._settle(batch)
            batch.error = _as_error(message)
            pending = self._pending_of(batch.stream)
            sent = [one.last for one in pending if one.request is not None]
            batch.stream.sent = max(sent, default=0)
        if is_probe:
            self._probed_by(batch.stream)
        self._pump()

    def _pending_of(self, stream: _Stream) -> List[_Batch]:
        return [batch for batch in self._batches.values() if batch.stream is stream]

    def _send_again(self, refused: _Batch, last: int) -> None:
        """Everything behind ``last`` goes out again, in order (PROTOCOL 8.3)."""
        stream = refused.stream
        if refused.previous <= last:
            raise MomError(
                "bad_message",
                f"Cannot go on after out_of_sequence: last {last} is not below "
                f"previous {refused.previous}",
            )
        if stream.replacements != self._replacements:
            stream.replacements = self._replacements
            if last < stream.accepted:
                self._tell_lost(stream.topic, stream.accepted - last)
        stream.accepted, stream.sent = last, 0
        for batch in self._pending_of(stream):
            self._recall(batch)
            # A daemon that has a batch does not say whether the broker has it too.
            if batch.last <= last and (
                self._server_level == "broker" or not batch.is_wanted
            ):
                self._settle(batch)
                batch.answer = (self._server_level, None)
        self._line_up()

    def _line_up(self) -> None:
        """Something goes out again: all that waits, in the order of publishing."""
        waiting = [one for one in self._batches.values() if one.request is None]
        self._unsent = collections.deque(waiting)

    def _probed(self, batch: _Batch) -> None:
        if batch.request == self._probe:
            self._probed_by(batch.stream)

    def _probed_by(self, stream: _Stream) -> None:
        """The other side has told how far it has come in a topic."""
        self._probe = None
        stream.replacements = self._replacements

    def _no_receipt(
        self, topic: str, batches: List[_Batch], outcome: str
    ) -> MomError:
        unsent = [batch for batch in batches if batch.sendings == 0]
        if outcome == "late":
            why = "the time is up"
        elif outcome == "away":
            why = "there is no connection to the daemon"
        else:
            why = f"{self._failure}"
        if outcome != "late":
            # What was never given to a connection is taken back.
            for batch in batches:
                batch.is_given_up = True
                if batch.sendings == 0:
                    self._settle(batch)
            if len(unsent) == len(batches):
                if outcome == "away":
                    return MomError(
                        "daemon_unavailable", f'Cannot publish to "{topic}": {why}'
                    )
                assert self._failure is not None
                return self._failure
        return MomError(
            "outcome_unknown",
            f'Cannot tell whether "{topic}" was published: {why}, it may still arrive',
        )

    def _is_idle(self) -> bool:
        return all(batch.is_given_up for batch in self._batches.values())

    # Subscribing.

    def subscribe(
        self,
        pattern: str,
        *,
        start: Start = "now",
        manual: bool = False,
        echo: bool = False,
        if_new: bool = False,
        timeout: Optional[float] = None,
    ) -> bool:
        """Subscribes the user to a filter: a topic, or levels with ``+`` (any one
        level) and a last ``#`` (that level and all below).

        ``start``: "now", "earliest", "last" (the last message of each topic), an
        offset, or a datetime with a time zone. ``manual``: the app acknowledges by
        ``message.ack()``. ``echo``: the handle's own messages come too.

        Returns True; with ``if_new`` False if there was such a subscription. Raises
        ``filter_invalid``, ``option_invalid``, ``already_subscribed``,
        ``broker_unavailable``, ``daemon_unavailable``, ``closed``.
        """
        self._check_open()
        _check_filter(pattern)
        start_from, value = _read_start(start)
        _require(isinstance(manual, bool), "manual", "a bool")
        _require(isinstance(echo, bool), "echo", "a bool")
        message = {
            "type": "SUBSCRIBE",
            "ref": _USER_REF,
            "filter": pattern,
            "from": start_from,
            "fromValue": value,
            "manual": manual,
            "echo": echo,
        }
        is_new = True
        try:
            self._call(message, "already_subscribed", timeout)
        except MomError as error:
            if error.code != "already_subscribed" or not if_new:
                raise
            is_new = False
        with self._lock:
            self._subscriptions[pattern] = message
        return is_new

    def unsubscribe(self, pattern: str, *, timeout: Optional[float] = None) -> None:
        """Ends a subscription at this moment: what was published before is still
        received. Raises ``not_subscribed`` and the errors of ``subscribe``."""
        self._check_open()
        _check_filter(pattern)
        with self._lock:
            self._subscriptions[pattern] = None
        message = {"type": "UNSUBSCRIBE", "ref": _USER_REF, "filter": pattern}
        self._call(message, "not_subscribed", timeout)

    # Receiving.

    def receive(self, timeout: Optional[float] = None) -> Optional[Message]:
        """Waits for one message. Taking it acknowledges it, unless the subscription
        is a manual one.

        Returns None when ``timeout`` is over: nothing was taken then. Raises
        ``daemon_unavailable`` when the daemon has been away for too long,
        ``user_expired`` when an unnamed user's handle was; ``closed``.
        """
        taken = self._receive(1, timeout)
        return taken[0] if taken else None

    def receive_many(
        self, max: int = 100, timeout: Optional[float] = None
    ) -> List[Message]:
        """Waits for at least one message and takes what else is there, ``max`` at
        most; none when ``timeout`` is over. Errors as ``receive``."""
        if type(max) is not int or max < 1:
            raise MomError(
                "option_invalid", 'Cannot receive: option "max": must be at least 1'
            )
        return self._receive(max, timeout)

    def _receive(self, most: int, timeout: Optional[float]) -> List[Message]:
        began = time.monotonic()
        _check_timeout(timeout)
        with self._lock:
            self._receivers += 1
            try:
                while True:
                    self._check_open()
                    taken = self._take(most)
                    if taken:
                        return taken
                    # Nothing is there: tell what was taken, ask for more.
                    self._rest()
                    outcome = self._wait(began, timeout, self._has_inbound, True)
                    if outcome == "late":
                        return []
                    if outcome == "away":
                        raise self._away_error()
            finally:
                self._receivers -= 1
                self._flush()

    def _has_inbound(self) -> bool:
        return bool(self._inbound) and self._acks.unconfirmed < _UNCONFIRMED_MAX

    def _take(self, most: int) -> List[Message]:
        messages: List[Message] = []
        while len(messages) < most and self._has_inbound():
            first = self._inbound[0]
            message = None if first.offset == first.end else self._take_one(first)
            if message is not None:
                messages.append(message)
            if first.offset >= first.end:
                self._inbound.popleft()
                self._window.take(first.cost)
                self._grant(False)
            if self._acks.is_full:
                self._flush()
        return messages

    def _take_one(self, inbound: _Inbound) -> Optional[Message]:
        offset = inbound.offset
        if inbound.expires_at <= time.monotonic():
            self._reject(inbound, _EXPIRED, inbound.end)
            return None
        try:
            start, end = _record_end(inbound.batch, inbound.at)
        except _Unreadable:
            self._reject(inbound, _UNDECODABLE, inbound.end)
            return None
        inbound.at = end
        try:
            headers, value = _decode_record(inbound.batch[start:end])
        except _Unreadable:
            self._reject(inbound, _UNDECODABLE, offset + 1)
            return None
        inbound.offset += 1
        message = Message()
        message.topic = inbound.message["topic"]
        message.sender = inbound.message["sender"]
        message.time = inbound.message["time"]
        message.offset = offset
        message.headers = headers
        message.value = value
        message.redelivered = inbound.is_redelivered
        message._owner = self
        message._log = inbound.log
        message._serial = 0
        if inbound.is_manual:
            self._acks.hold(inbound.log, offset)
        else:
            settle = self._acks.settle
            message._serial = settle(_DELIVERED, inbound.log, offset, offset + 1)
        return message

    def _reject(self, inbound: _Inbound, kind: int, end: int) -> None:
        self._acks.settle(kind, inbound.log, inbound.offset, end)
        inbound.offset = end

    def _rest(self) -> None:
        self._window.open()
        self._flush()
        self._grant(True)

    def _grant(self, is_resting: bool) -> None:
        if not self._line.is_up:
            return
        total = self._window.grant(is_resting)
        if total is not None:
            self._line.send({"type": "CREDIT", "ref": _USER_REF, "total": total})

    def _flush(self) -> None:
        if not self._line.is_up:
            return
        ack = self._acks.next()
        if ack is not None:
            self._line.send({"type": "ACK", "ref": _USER_REF, **ack})

    def _ack(self, message: Message, timeout: Optional[float]) -> None:
        began = time.monotonic()
        _check_timeout(timeout)
        acks = self._acks
        with self._lock:
            if message._serial == 0:
                if self._failure is not None:
                    raise self._failure
                message._serial = acks.release(message._log, message.offset)
            serial = message._serial
            if serial <= acks.confirmed:
                return
            acks.awaited[serial] += 1
            try:
                self._flush()
                outcome = self._wait(
                    began,
                    timeout,
                    lambda: serial <= acks.confirmed or serial in acks.unknown,
                )
                is_unknown = serial in acks.unknown
            finally:
                acks.awaited[serial] -= 1
                if acks.awaited[serial] == 0:
                    del acks.awaited[serial]
                    acks.unknown.discard(serial)
            if outcome == "away":
                raise self._away_error()
            if outcome == "failed":
                assert self._failure is not None
                raise self._failure
            if is_unknown or outcome == "late":
                why = "the store was replaced" if is_unknown else "the time is up"
                raise MomError("outcome_unknown", f"Cannot acknowledge: {why}")

    # News, and the end.

    def events(self) -> List[Event]:
        """What has been told since the last call, at most 100."""
        with self._lock:
            told = list(self._events)
            self._events.clear()
            return told

    def close(self) -> None:
        """Leaves: waits for receipts and confirmations, at most 5 s, and ends the
        handle. A named user stays, with its subscriptions; an unnamed one ends.
        What was not received is not lost. May be called twice."""
        with self._lock:
            was_open = self._refusal is None
            if self._refusal is None:
                self._refusal = self._closed_error("it is closed")
                self._is_closing = True
            if was_open:
                due = time.monotonic() + _CLOSE_SECONDS
                self._inbound.clear()
                self._lock.notify_all()
                self._until(due, self._is_idle)
                self._flush()
                self._until(due, lambda: self._acks.is_settled)
                call = self._begin({"type": "DETACH", "ref": _USER_REF}, None)
                # Whatever the answer is, nothing can be done about it any more.
                self._until(due, lambda: call.is_done)
            if was_open or not self._is_closing:
                self._end(self._refusal)
        # A second call waits for the first.
        self._line.join(2 * _CLOSE_SECONDS)

    def destroy(self, *, timeout: Optional[float] = None) -> None:
        """Ends the user with its subscriptions and all that waits for it, and the
        handle with it. May be called twice. Raises ``daemon_unavailable`` if the
        daemon has been away for too long: the handle goes on."""
        with self._lock:
            if self._refusal is not None:
                if self._is_destroyed:
                    return
                raise self._refusal
            self._until(time.monotonic() + _CLOSE_SECONDS, self._is_idle)
            message = {
                "type": "DESTROY",
                "name": self._name,
                "incarnation": self._line.incarnation,
            }
            self._call(message, "user_expired", timeout)
            self._is_destroyed = True
            self._refusal = self._closed_error("it is destroyed")
            self._end(self._refusal)
        self._line.join(_CLOSE_SECONDS)

    _is_destroyed = False

    def _end(self, error: MomError) -> None:
        self._fail(error)
        self._line.end()

    def _fail(self, error: MomError) -> None:
        """Ends every call; by whoever finds that nothing goes on."""
        self._refusal = self._refusal or error
        self._failure = self._failure or self._refusal
        for call in self._calls.values():
            call.finish(self._failure)
        self._calls.clear()
        self._inbound.clear()
        self._lock.notify_all()

    def _closed_error(self, why: str) -> MomError:
        return MomError("closed", f'Cannot use the handle of "{self._user}": {why}')

    def _away_error(self) -> MomError:
        return MomError(
            "daemon_unavailable",
            f'Cannot reach the daemon of "{self._user}": no connection for '
            f"{self._reconnect_timeout} s",
        )

    # Waiting. All of it under the lock.

    def _check_open(self) -> None:
        if self._refusal is not None:
            raise self._refusal

    def _wait(
        self,
        began: float,
        timeout: Optional[float],
        is_done: Callable[[], bool],
        is_refused: bool = False,
    ) -> str:
        """Waits until something is done, the time is up ("late"), the daemon has
        been away for too long ("away"), or nothing goes on any more ("failed")."""
        due = math.inf if timeout is None else began + timeout
        while True:
            if is_done():
                return "done"
            if self._failure is not None or (is_refused and self._refusal is not None):
                return "failed"
            now = time.monotonic()
            if now >= due:
                return "late"
            limit = due
            if self._is_away_since is not None:
                away = max(began, self._is_away_since) + self._reconnect_timeout
                if now >= away:
                    return "away"
                limit = min(limit, away)
            self._lock.wait(min(limit - now, 3600.0))

    def _until(self, due: float, is_done: Callable[[], bool]) -> None:
        while not is_done() and self._failure is None:
            left = due - time.monotonic()
            if left <= 0:
                return
            self._lock.wait(left)

    # Requests.

    def _next_request(self) -> int:
        self._requests += 1
        return self._requests

    def _call(
        self, message: _Wire, done_code: Optional[str], timeout: Optional[float]
    ) -> None:
        began = time.monotonic()
        _check_timeout(timeout)
        with self._lock:
            self._check_open()
            call = self._begin(message, done_code)
            outcome = self._wait(began, timeout, lambda: call.is_done)
            if not call.is_done:
                # It is not asked again; whether it was heard is not known.
                self._calls = {n: c for n, c in self._calls.items() if c is not call}
            if call.error is not None:
                raise call.error
            if outcome == "away":
                raise self._away_error()
            if outcome == "late":
                raise _no_answer("the time is up")

    def _begin(self, message: _Wire, done_code: Optional[str]) -> _Call:
        call = _Call(message, done_code)
        if self._failure is not None:
            call.finish(self._failure)
        else:
            self._ask(call)
        return call

    def _ask(self, call: _Call) -> None:
        request = self._next_request()
        self._calls[request] = call
        if self._line.is_up:
            call.sendings += 1
            call.due = time.monotonic() + _ANSWER_SECONDS
            self._line.send({**call.message, "request": request})

    def _on_answer(self, request: int, error: Optional[MomError]) -> bool:
        call = self._calls.pop(request, None)
        if call is None:
            return False
        # After a repetition it means that the first sending was carried out.
        if error is not None and call.sendings > 1 and error.code == call.done_code:
            error = None
        call.finish(error)
        return True

    def _next_due(self) -> float:
        return min((call.due for call in self._calls.values()), default=math.inf)

    def _expire_calls(self, now: float) -> None:
        for request, call in list(self._calls.items()):
            if call.due <= now:
                del self._calls[request]
                call.finish(_no_answer(f"no answer within {_ANSWER_SECONDS} s"))
                self._lock.notify_all()

    # What the connection tells, under the lock, on its thread.

    def _start(self) -> None:
        """Connects for the first time."""
        began = time.monotonic()
        self._line.start()
        try:
            with self._lock:
                outcome = self._wait(began, None, lambda: self._is_ready)
                if outcome == "failed":
                    assert self._failure is not None
                    raise self._failure
                if outcome != "done":
                    raise MomError(
                        "daemon_unavailable",
                        f'Cannot connect to "{self._line.address}": no success within '
                        f"{self._reconnect_timeout} s; "
                        f"{_reason_text(self._line.reason)}",
                    )
        except BaseException:
            self._line.end()
            raise

    def _on_attaching(self) -> Tuple[int, List[int]]:
        return self._window.restart(), self._acks.known()

    def _on_attached(
        self, message: _Wire, welcome: _Wire, is_replaced: bool
    ) -> None:
        self._user = message["user"]
        self._is_ready = True
        self._is_away_since = None
        self._server_level = welcome["role"]
        self._message_max = welcome["maxMessageBytes"]
        self._window.record_max = self._message_max + _FRAME_OVERHEAD
        self._suspect = (message["suspect"], message["epoch"])
        is_broker = welcome["role"] == "broker"
        self._acks.attached(message["epoch"] if is_broker else None)
        self._tell(Event("up"))
        if self._receivers > 0:
            self._rest()
        self._ask_again()
        if is_replaced:
            self._replacements += 1
        self._pump()
        if is_replaced:
            self._on_replaced(welcome)
        self._lock.notify_all()

    def _ask_again(self) -> None:
        """What has no answer is asked again, but not for ever."""
        oldest = time.monotonic() - self._reconnect_timeout
        calls, self._calls = self._calls, {}
        for call in calls.values():
            if call.lost_at is None or call.lost_at >= oldest:
                self._ask(call)
            else:
                call.finish(self._away_error())

    def _on_replaced(self, welcome: _Wire) -> None:
        """Another store: what this handle subscribed to may not be in it."""
        role, epoch = welcome["role"], welcome["epoch"]
        reason = f"the {role}'s store was replaced, it has epoch {epoch} now"
        self._tell(Event("replaced", reason))
        # A broker goes on from where its store began anew. A daemon only passes it on.
        start = "epoch" if role == "broker" else "now"
        for pattern, message in self._subscriptions.items():
            if message is not None:
                again = {**message, "from": start, "fromValue": 0}
            else:
                again = {"type": "UNSUBSCRIBE", "ref": _USER_REF, "filter": pattern}
            self._begin(again, None)

    def _on_lost(self) -> None:
        self._is_away_since = time.monotonic()
        # What was pushed and not taken comes again.
        self._inbound.clear()
        self._probe = None
        for batch in self._batches.values():
            self._recall(batch)
        for stream in self._streams.values():
            stream.sent = 0
        self._line_up()
        for call in self._calls.values():
            call.due = math.inf
            if call.sendings > 0 and call.lost_at is None:
                call.lost_at = self._is_away_since
        self._lock.notify_all()

    def _on_message(self, message: _Wire) -> None:
        kind = message["type"]
        if kind == "DELIVER":
            self._on_deliver(message)
        elif kind == "RECEIPT":
            self._on_receipt(message)
        elif kind == "CONFIRM":
            self._acks.confirm(message["number"])
        elif kind == "OK":
            self._on_answer(message["request"], None)
        elif kind == "ERROR":
            if not self._on_answer(message["request"], _as_error(message)):
                self._on_publish_error(message)
        elif kind == "NOTICE":
            self._on_notice(message)
        # GAP, GOAWAY, REDIRECT: what they tell is settled by the other side, or
        # shows itself when the connection ends.
        self._lock.notify_all()

    def _on_deliver(self, message: _Wire) -> None:
        targets = message["targets"]
        flags = dict(zip(targets[::2], targets[1::2])).get(_USER_REF)
        if flags is None or self._refusal is not None:
            return
        count, size = message["count"], len(message["batch"])
        if message["baseOffset"] + count > _SAFE or count > size + 1_000_000:
            raise MomError("bad_message", f"Cannot take delivery of {count} records")
        inbound = _Inbound(message, flags, self._suspect)
        self._window.receive(inbound.cost)
        self._inbound.append(inbound)

    def _on_notice(self, message: _Wire) -> None:
        details = message["details"] or {}
        kind, topic, count = message["kind"], details.get("topic"), details.get("count")
        if kind == "epoch":
            reason = f"the broker's store has epoch {details.get('to')} now"
            self._tell(Event("replaced", reason))
        elif kind == "lost":
            self._tell_lost(str(topic), count)
        elif kind == "rejected":
            reason = f"{details.get('code')}: {details.get('message')}"
            self._tell(Event("rejected", reason, topic, count))

    def _tell_lost(self, topic: str, count: Any) -> None:
        reason = f'{count} of "{topic}" had been acknowledged and may be gone'
        self._tell(Event("lost", reason, topic, count))

    def _tell(self, event: Event) -> None:
        self._events.append(event)


def _are_done(waiting: Deque[_Batch]) -> bool:
    """Whether all are done; those that are need not be looked at again."""
    while waiting and waiting[0].is_done:
        waiting.popleft()
    return not waiting


def _receipts(batches: List[_Batch]) -> List[Receipt]:
    receipts: List[Receipt] = []
    for batch in batches:
        if batch.error is not None:
            raise batch.error
        assert batch.answer is not None
        level, offset = batch.answer
        for index in range(batch.last - batch.first + 1):
            number = None if offset is None else offset + index
            receipts.append(Receipt(batch.stream.topic, level, number))
    return receipts


def _read_start(start: Start) -> Tuple[str, int]:
    """``from`` and ``fromValue`` of SUBSCRIBE (PROTOCOL 5.10)."""
    if isinstance(start, datetime.datetime):
        if start.tzinfo is None:
            raise MomError(
                "option_invalid",
                'Cannot subscribe: option "start": the datetime has no time zone',
            )
        return "time", max(0, (start - _EPOCH) // _MILLISECOND)
    if _is_uint(start):
        return "offset", int(start)
    if start in ("now", "earliest", "last"):
        return str(start), 0
    raise MomError(
        "option_invalid",
        'Cannot subscribe: option "start": must be "now", "earliest", "last", an '
        f"offset or a datetime, not {start!r}",
    )


def _check_timeout(timeout: Optional[float]) -> None:
    if timeout is not None:
        _check_seconds("timeout", timeout)


def _check_seconds(what: str, seconds: float) -> None:
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    _require(is_number, what, "a number of seconds")
    if not seconds >= 0:
        raise MomError("option_invalid", f'Option "{what}": must be at least 0')


def _reason_text(error: Optional[MomError]) -> str:
    return "no try has ended" if error is None else str(error.args[0])


def _no_answer(why: str) -> MomError:
    return MomError("outcome_unknown", f"Cannot tell whether it was done: {why}")


# Coordinators (coordinator/PROTOCOL.md) -----------------------------------------

_NAME_BYTES = 200
_OPEN_WAITS, _OPEN_OTHERS = 192, 64
_REQUEST_SECONDS = 30.0
_RECORD_SECONDS = 7 * 24 * 60 * 60.0
_IDLE_LEASES, _IDLE_SECONDS = 10, 60.0
_REOPEN_SECONDS = 0.25
#: After so long without an answer a request is sent again for the first time.
_RESEND_SECONDS = 1.0
_GROUP = re.compile(r"[A-Za-z0-9_-]{1,24}")
#: Operations that do no harm if executed once more.
_REPEATABLE = {"hello", "leave", "semaphore_wait", "semaphore_cancel", "value_read"}


class _Operation:
    """One operation on its way, over as many records as it takes."""

    def __init__(self, fields: Dict[str, Any], seconds: float):
        self.fields = fields
        self.ends_at = time.monotonic() + seconds
        #: Its number; 0 as long as it was never sent.
        self.request = 0
        self.session = 0
        #: How many records there are of it.
        self.sent = 0
        self.last_sent = 0.0
        self.is_over = False
        self.result: Any = None
        self.error: Optional[MomError] = None

    @property
    def op(self) -> str:
        return str(self.fields["op"])

    @property
    def is_wait(self) -> bool:
        return self.op == "semaphore_wait"

    def finish(self, result: Any = None, error: Optional[MomError] = None) -> None:
        if not self.is_over:
            self.is_over, self.result, self.error = True, result, error


class Permit:
    """A place in a semaphore, held until it is given back, its client ends, or the
    client's lease is lost. As a context manager it is given back at the end."""

    def __init__(self, shard: "_Shard", name: str, token: int):
        self._shard = shard
        #: Of which semaphore, in upper case.
        self.name = name
        #: The fencing token: larger than that of every grant before. What a holder
        #: writes elsewhere should carry it, so that one who lost its lease without
        #: noticing can be turned away there.
        self.token = token
        #: Whether it is known that it is not held any more, though not given back.
        self.is_lost = False
        self._is_over = False

    def release(self) -> None:
        """Gives the permit back. Twice does nothing more than once.

        Raises ``lease_lost`` if it was not held any more: somebody else may have
        been in meanwhile; ``destroyed``, ``outcome_unknown`` (try again),
        ``closed``.
        """
        if self._is_over:
            return
        if self.is_lost:
            raise _lease_lost(self)
        try:
            self._shard.release(self)
        except MomError as error:
            self.is_lost = error.code == "lease_lost"
            raise
        self._is_over = True

    def __enter__(self) -> "Permit":
        return self

    def __exit__(self, *_: Any) -> None:
        self.release()


def _lease_lost(permit: Permit) -> MomError:
    return MomError(
        "lease_lost",
        f'Cannot release permit {permit.token} of "{permit.name}": its client was '
        "not heard of for its lease, and the permit was given back",
    )


class _Shard:
    """One shard, as a client sees it: its session, and the operations that are not
    answered. All of it under the client's lock."""

    def __init__(self, client: "Coordinator", number: int):
        self._client = client
        self._number = number
        self._lock = client._lock
        self._sent: Dict[int, _Operation] = {}
        self._waits: Deque[_Operation] = collections.deque()
        self._others: Deque[_Operation] = collections.deque()
        self._permits: List[Permit] = []
        self._session = 0
        self._is_open = False
        self._hello: Optional[_Operation] = None
        self._up_to = 0
        self._last_sent = -math.inf
        #: Something was consumed, and the shard does not know that it was heard.
        self._owes_news = False
        #: The log's time, and when it was that.
        self._log_time: Optional[Tuple[int, float]] = None

    # For the app's threads.

    def call(self, fields: Dict[str, Any], seconds: float) -> Any:
        """Does an operation; gives what ``done`` says."""
        operation = _Operation(fields, seconds)
        with self._lock:
            self._queue(operation)
            try:
                while not operation.is_over:
                    left = operation.ends_at - time.monotonic()
                    if left <= 0:
                        operation.finish(error=_time_up(operation, seconds))
                        break
                    self._lock.wait(min(left, 3600.0))
            finally:
                operation.finish()
                self._abandon(operation)
        if operation.error is not None:
            raise operation.error
        return operation.result

    def release(self, permit: Permit) -> None:
        fields = {"op": "semaphore_release", "name": permit.name, "token": permit.token}
        try:
            self.call(fields, self._client._timeout)
        except MomError as error:
            # Without an answer it may still be held, and then the session must live.
            if error.code == "outcome_unknown":
                raise
            self._drop(permit)
            raise
        self._drop(permit)

    def leave(self) -> Optional[_Operation]:
        """Ends all operations; gives that which tells the shard."""
        operations = [*self._sent.values(), *self._waits, *self._others]
        for operation in operations:
            operation.finish(error=self._client._refusal)
        self._sent.clear()
        self._waits.clear()
        self._others.clear()
        for permit in self._permits:
            permit.is_lost = True
        self._permits.clear()
        if not self._is_open and self._hello is None:
            return None
        leave = _Operation({"op": "leave"}, _CLOSE_SECONDS)
        self._send(leave)
        return leave

    # For the thread that receives.

    def on_reply(self, reply: Dict[str, Any]) -> None:
        self._note_time(reply["time"])
        outcome, session = reply["outcome"], reply["session"]
        if outcome == "ended" and session == self._session:
            self._lose_session()
        operation = self._sent.get(reply["request"])
        if operation is None or operation.session != session:
            return
        if outcome == "late":
            return self._send(operation)
        del self._sent[operation.request]
        if outcome == "done":
            self._on_done(operation, reply.get("result"))
        elif outcome == "failed":
            error = MomError(str(reply.get("code")), str(reply.get("message")))
            self._finish(operation, error=error)
        else:
            self._again(operation)
        self._send_waiting()

    def _note_time(self, told: int) -> None:
        """The log's time never falls; an answer that is sent again tells an old one."""
        now = time.monotonic()
        if self._log_time is not None:
            known, at = self._log_time
            if known + (now - at) * 1000 > told:
                return
        self._log_time = (told, now)

    def on_tick(self) -> None:
        now = time.monotonic()
        lease = self._client._lease
        for operation in list(self._sent.values()):
            # The answer may be long in coming, or be lost: less often each time.
            patience = min(lease, _RESEND_SECONDS * 2.0 ** min(operation.sent - 1, 20))
            if now - operation.last_sent >= patience:
                self._send(operation)
        if now - self._last_sent >= lease / 3 and self._is_open and self._is_active():
            self._publish({"kind": "renew", "session": self._session})

    def resend(self) -> None:
        for operation in list(self._sent.values()):
            self._send(operation)

    # Operations.

    def _finish(
        self,
        operation: _Operation,
        result: Any = None,
        error: Optional[MomError] = None,
    ) -> None:
        operation.finish(result, error)
        if operation is self._hello:
            self._on_hello(operation)
        self._lock.notify_all()

    def _queue(self, operation: _Operation) -> None:
        if self._client._refusal is not None:
            raise self._client._refusal
        (self._waits if operation.is_wait else self._others).append(operation)
        self._require_session()
        self._send_waiting()

    def _send_waiting(self) -> None:
        if not self._is_open:
            return
        waits = sum(operation.is_wait for operation in self._sent.values())
        others = len(self._sent) - waits
        while self._others and others < _OPEN_OTHERS:
            others += self._send_first(self._others)
        while self._waits and waits < _OPEN_WAITS:
            waits += self._send_first(self._waits)

    def _send_first(self, operations: Deque[_Operation]) -> int:
        operation = operations.popleft()
        if not operation.is_over:
            self._send(operation)
        return int(operation.request in self._sent)

    def _send(self, operation: _Operation) -> None:
        if operation.request == 0:
            operation.request = self._client._next_request()
            operation.session = self._session
            self._sent[operation.request] = operation
        operation.sent += 1
        operation.last_sent = time.monotonic()
        record = {
            "kind": "request",
            "session": operation.session,
            "request": operation.request,
            **operation.fields,
        }
        deadline = self._deadline_of(operation)
        if deadline is not None:
            record["deadline"] = deadline
        try:
            self._publish(record)
        except MomError as error:
            # Sending the same again cannot go better.
            self._sent.pop(operation.request, None)
            self._finish(operation, error=error)

    def _publish(self, record: Dict[str, Any]) -> None:
        self._up_to = max(self._up_to, record.get("request", 0))
        session = record["session"]
        sent = self._sent.values()
        numbers = [one.request for one in sent if one.session == session]
        common = {"v": 1, "upTo": self._up_to, "open": numbers}
        if session == self._session:
            self._last_sent = time.monotonic()
            self._owes_news = False
        self._client._post(self._number, {**common, **record})

    def _deadline_of(self, operation: _Operation) -> Optional[int]:
        """In the log's time; none as long as that is not known."""
        if self._log_time is None or operation.op == "semaphore_cancel":
            return None
        now = time.monotonic()
        log_time, at = self._log_time
        left = min(operation.ends_at - now, _REQUEST_SECONDS)
        return log_time + math.floor((now - at + left) * 1000)

    def _on_done(self, operation: _Operation, result: Any) -> None:
        name = str(operation.fields.get("name"))
        if operation.op == "semaphore_signal":
            # The shard has taken it as the end of the oldest permit.
            for permit in self._permits:
                if permit.name == name:
                    permit._is_over = True
                    self._permits.remove(permit)
                    break
        if not operation.is_wait:
            return self._finish(operation, result)
        # What a session held that has ended is not held.
        if not self._is_open or operation.session != self._session:
            return self._again(operation)
        permit = Permit(self, name, int(result))
        if operation.fields.get("consume"):
            permit._is_over = True
            self._owes_news = True
        else:
            self._permits.append(permit)
        self._finish(operation, permit)

    def _drop(self, permit: Permit) -> None:
        with self._lock:
            if permit in self._permits:
                self._permits.remove(permit)

    def _again(self, operation: _Operation) -> None:
        """Of a session that has ended: once more, unless that may be too often."""
        op = operation.op
        if op in ("leave", "semaphore_cancel"):
            return self._finish(operation)
        if op == "hello":
            self._hello = None
            return self._require_session()
        if op == "semaphore_release":
            error = MomError(
                "lease_lost",
                "Cannot release a permit: its client was not heard of for its "
                "lease, and the permit was given back",
            )
            return self._finish(operation, error=error)
        if operation.sent > 1 and op not in _REPEATABLE:
            return self._finish(operation, error=_no_answer("the session ended"))
        operation.request = operation.sent = 0
        if not operation.is_over:
            self._queue(operation)

    def _abandon(self, operation: _Operation) -> None:
        """The app waits no more."""
        if self._sent.get(operation.request) is not operation:
            return
        del self._sent[operation.request]
        is_current = self._is_open and operation.session == self._session
        if operation.is_wait and is_current and self._client._refusal is None:
            # Ends with an answer, or with the session.
            fields = {"op": "semaphore_cancel", "target": operation.request}
            self._queue(_Operation(fields, math.inf))
        self._send_waiting()

    # The session.

    def _require_session(self) -> None:
        if self._is_open and self._is_idle_too_long():
            self._is_open = False
        if self._is_open or self._hello is not None:
            return
        if self._client._refusal is not None:
            return
        self._session += 1
        lease = math.floor(self._client._lease * 1000)
        self._hello = _Operation({"op": "hello", "leaseMs": lease}, math.inf)
        self._send(self._hello)

    def _on_hello(self, hello: _Operation) -> None:
        self._hello = None
        self._is_open = hello.error is None and hello.session == self._session
        if hello.error is not None:
            for operation in [*self._waits, *self._others]:
                operation.finish(error=hello.error)
            self._waits.clear()
            self._others.clear()

    def _lose_session(self) -> None:
        self._is_open = False
        for permit in self._permits:
            permit.is_lost = True
        self._permits.clear()
        for operation in list(self._sent.values()):
            if operation.is_wait:
                del self._sent[operation.request]
                self._again(operation)

    def _is_active(self) -> bool:
        """Whether the session has something to lose."""
        return (
            bool(self._permits)
            or self._owes_news
            or any(operation.is_wait for operation in self._sent.values())
        )

    def _is_idle_too_long(self) -> bool:
        """The shard may have forgotten it."""
        if self._is_active() or self._sent:
            return False
        idle = max(_IDLE_LEASES * self._client._lease, _IDLE_SECONDS)
        return time.monotonic() - self._last_sent > idle / 2


def _time_up(operation: _Operation, seconds: float) -> MomError:
    name = operation.fields.get("name")
    what = f'{operation.op} of "{name}": no answer within {seconds} s'
    if operation.is_wait:
        return MomError("timed_out", f"Cannot go on with {what}")
    return MomError("outcome_unknown", f"Cannot tell what became of {what}")


class Semaphore:
    """A semaphore that all clients share: at most as many are in as it was made for,
    and who waits is let in in the order of the waits. From
    ``Coordinator.semaphore``; whether there is one shows when it is used."""

    def __init__(self, client: "Coordinator", name: str):
        self._client = client
        #: Its name as it was given; case does not count.
        self.name = name

    def init(self, value: int, *, timeout: Optional[float] = None) -> None:
        """Makes it, for so many at once. Raises ``exists``, ``option_invalid``,
        ``storage_full``, ``outcome_unknown``, ``closed``."""
        self._client._call("semaphore_init", self.name, timeout, value=value)

    def wait(
        self, timeout: Optional[float] = None, *, consume: bool = False
    ) -> Permit:
        """Waits to be let in. Whoever stops waiting takes nothing. ``consume``: what
        is taken is taken for good, for who takes what others signal.

        Raises ``timed_out``; ``unknown_name``, ``destroyed``, ``storage_full``,
        ``closed``.
        """
        _check_timeout(timeout)
        more = {"consume": True} if consume else {}
        seconds = math.inf if timeout is None else timeout
        call = self._client._call
        permit: Permit = call("semaphore_wait", self.name, seconds, **more)
        return permit

    def signal(self, *, timeout: Optional[float] = None) -> None:
        """Lets one in: the oldest who waits, else who comes next. A client that
        holds permits of this semaphore gives back its oldest. Raises
        ``unknown_name``, ``outcome_unknown``, ``closed``."""
        self._client._call("semaphore_signal", self.name, timeout)

    def destroy(self, *, timeout: Optional[float] = None) -> None:
        """Ends it: all who wait fail with ``destroyed``. Raises as ``signal``."""
        self._client._call("semaphore_destroy", self.name, timeout)


class SharedValue:
    """A value that all clients share: any that a message can carry, of some 1 MiB.
    From ``Coordinator.value``; whether there is one shows when it is used."""

    def __init__(self, client: "Coordinator", name: str):
        self._client = client
        #: Its name as it was given; case does not count.
        self.name = name

    def init(self, value: Any, *, timeout: Optional[float] = None) -> None:
        """Makes it. Raises ``exists``, ``value_unsupported``, ``message_too_large``,
        ``storage_full``, ``outcome_unknown``, ``closed``."""
        self._client._call("value_init", self.name, timeout, value=value)

    def read(self, *, timeout: Optional[float] = None) -> Any:
        """What it is now: never older than what was written before the call. Raises
        ``unknown_name``, ``outcome_unknown``, ``closed``."""
        return self._client._call("value_read", self.name, timeout)

    def write(self, value: Any, *, timeout: Optional[float] = None) -> None:
        """Replaces it. Raises ``unknown_name`` and as ``init``."""
        self._client._call("value_write", self.name, timeout, value=value)

    def compare_and_set(
        self, expected: Any, value: Any, *, timeout: Optional[float] = None
    ) -> bool:
        """Replaces it if it is equal to ``expected``, of the same kind with the same
        content; returns whether it was. Raises as ``write``."""
        more = {"expected": expected, "value": value}
        call = self._client._call
        return call("value_compare_and_set", self.name, timeout, **more) is True

    def destroy(self, *, timeout: Optional[float] = None) -> None:
        """Ends it. Raises ``unknown_name``, ``outcome_unknown``, ``closed``."""
        self._client._call("value_destroy", self.name, timeout)


class Coordinator:
    """A client of the coordinators, for semaphores and values that all share.

    ``of``: how many coordinators there are; ``group``: the name of the set, if there
    is more than one at the broker; ``lease``: after how many seconds of silence this
    client counts as dead, and its permits go to others; ``timeout``: how long an
    operation other than ``wait`` may take. It speaks over a handle of its own beside
    ``mom``, and takes nothing that is for the app.

        with Coordinator(mom, of=3) as coordinator:
            with coordinator.semaphore("door").wait(timeout=5) as permit:
                print("in, with token", permit.token)
    """

    def __init__(
        self,
        mom: Mom,
        *,
        of: int,
        group: Optional[str] = None,
        lease: float = 5.0,
        timeout: float = 30.0,
    ):
        if type(of) is not int or not 1 <= of <= 10_000:
            raise _bad_option("of", "must be an integer from 1 to 10,000")
        if group is not None and _GROUP.fullmatch(group) is None:
            raise _bad_option("group", "must be 1 to 24 letters, digits, - or _")
        _check_seconds("lease", lease)
        _check_seconds("timeout", timeout)
        if not 0.1 <= lease <= 86_400:
            raise _bad_option("lease", "must be 0.1 to 86,400 seconds")
        self._mom = mom
        self._of = of
        self._root = "coordinator" if group is None else f"coordinator/{group}"
        self._lease = lease
        self._timeout = timeout
        #: The client's id, as coordinators and logs know it.
        self.client = secrets.token_hex(16)
        self._lock = threading.Condition(threading.RLock())
        self._shards: Dict[int, _Shard] = {}
        self._requests = 0
        self._refusal: Optional[MomError] = None
        self._is_over = False
        self._handle = self._open(time.monotonic() + timeout)
        self._thread = threading.Thread(
            target=self._live, name="mom coordinator", daemon=True
        )
        self._thread.start()

    @classmethod
    def connect(cls, mom: Mom, **options: Any) -> "Coordinator":
        """The same as ``Coordinator(mom, ...)``."""
        return cls(mom, **options)

    def semaphore(self, name: str) -> Semaphore:
        """A semaphore by its name, of at most 200 bytes; case does not count."""
        return Semaphore(self, _check_resource(name))

    def value(self, name: str) -> SharedValue:
        """A value by its name, of at most 200 bytes; case does not count."""
        return SharedValue(self, _check_resource(name))

    def close(self) -> None:
        """Leaves: permits are given back, operations under way fail with
        ``closed``. May be called twice."""
        with self._lock:
            if self._refusal is None:
                self._refusal = MomError(
                    "closed", "Cannot use the coordinators: the client is closed"
                )
            if not self._is_over:
                leaves = [shard.leave() for shard in self._shards.values()]
                self._lock.notify_all()
                due = time.monotonic() + _CLOSE_SECONDS
                while not all(leave is None or leave.is_over for leave in leaves):
                    # Without an answer the session ends with its lease.
                    left = due - time.monotonic()
                    if left <= 0:
                        break
                    self._lock.wait(left)
            self._is_over = True
        self._handle.close()
        self._thread.join(_CLOSE_SECONDS)

    def __enter__(self) -> "Coordinator":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _call(
        self, op: str, name: str, timeout: Optional[float], **more: Any
    ) -> Any:
        seconds = self._timeout if timeout is None else timeout
        _check_seconds("timeout", seconds)
        name = name.upper()
        with self._lock:
            number = _shard_of(name, self._of)
            shard = self._shards.get(number)
            if shard is None:
                shard = self._shards[number] = _Shard(self, number)
        return shard.call({"op": op, "name": name, **more}, seconds)

    def _next_request(self) -> int:
        self._requests += 1
        return self._requests

    def _post(self, shard: int, record: Dict[str, Any]) -> None:
        topic = f"{self._root}/{self._of}/{shard}/log"
        try:
            record["client"] = self.client
            self._handle._post(topic, record, _RECORD_SECONDS)
        except MomError as error:
            # What may get better is sent again in time.
            if error.code not in ("closed", "user_expired"):
                raise

    def _open(self, due: float) -> Mom:
        """A handle that is subscribed to the replies."""
        while True:
            try:
                handle = self._mom.another()
                try:
                    handle.subscribe(f"{self._root}/reply/{self.client}")
                    return handle
                except BaseException:
                    handle.close()
                    raise
            except MomError as error:
                if not error.retriable or time.monotonic() > due or self._is_over:
                    raise
            time.sleep(_REOPEN_SECONDS)

    def _live(self) -> None:
        try:
            self._receive()
        except BaseException as error:  # A defect must not leave callers waiting.
            self._end(MomError("internal", f"Cannot go on: {error!r}"))
            raise

    def _receive(self) -> None:
        every = min(self._lease / 6, 0.5)
        next_tick = time.monotonic() + every
        while not self._is_over:
            try:
                left = max(0.001, next_tick - time.monotonic())
                for message in self._handle.receive_many(1_000, left):
                    self._on_value(message.value)
            except MomError as error:
                if error.code != "daemon_unavailable" and not self._reopen():
                    return
            if time.monotonic() >= next_tick:
                next_tick = time.monotonic() + every
                with self._lock:
                    for shard in self._shards.values():
                        shard.on_tick()

    def _reopen(self) -> bool:
        """Its user has ended while the daemon was away; another takes its place."""
        self._handle.close()
        while not self._is_over:
            try:
                handle = self._open(math.inf)
            except MomError as error:
                if error.code == "closed":
                    self._end(error)
                    return False
                time.sleep(_REOPEN_SECONDS)
                continue
            with self._lock:
                if self._is_over:
                    handle.close()
                    return False
                self._handle = handle
                for shard in self._shards.values():
                    shard.resend()
            return True
        return False

    def _end(self, error: MomError) -> None:
        """The app's handle is closed: there is no way any more."""
        with self._lock:
            self._refusal = self._refusal or error
            self._is_over = True
            for shard in self._shards.values():
                shard.leave()
            self._lock.notify_all()

    def _on_value(self, value: Any) -> None:
        # Anybody can publish to the topic: what is no reply is none.
        if not isinstance(value, dict) or value.get("v") != 1:
            return
        numbers = [value.get(key) for key in ("shard", "session", "request")]
        known = value.get("outcome") in ("done", "failed", "late", "ended")
        if not known or not all(_is_uint(number) for number in numbers):
            return
        log_time = value.get("time")
        if not isinstance(log_time, (int, float)) or not math.isfinite(log_time):
            return
        with self._lock:
            shard = self._shards.get(value["shard"])
            if shard is not None:
                shard.on_reply({**value, "time": math.floor(log_time)})


def _shard_of(name: str, of: int) -> int:
    """FNV-1a with 32 bits over the UTF-8 of the upper-case name."""
    digest = 2_166_136_261
    for byte in name.encode():
        digest = (digest ^ byte) * 16_777_619 % 2**32
    return digest % of + 1


def _check_resource(name: str) -> str:
    _require(isinstance(name, str), "name", "a str")
    try:
        size = len(name.upper().encode())
    except UnicodeEncodeError:
        size = 0
    if not 1 <= size <= _NAME_BYTES:
        raise MomError(
            "name_invalid",
            f"Cannot use name {name!r:.80}: expected 1 to {_NAME_BYTES} bytes of text",
        )
    return name


def _bad_option(name: str, rule: str) -> MomError:
    return MomError("option_invalid", f'Option "{name}": {rule}')
