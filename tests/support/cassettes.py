"""Cassettes: recorded exchanges with the API as YAML that a person can read and review.

Bodies are kept parsed, headers are cut to what the package's behaviour depends on, the key and
every host are gone. A request is found by method, URL and JSON body.
"""

import asyncio
import copy
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias
from unittest.mock import patch

import vcr  # type: ignore[import-untyped]
import yaml
from vcr.cassette import Cassette  # type: ignore[import-untyped]
from vcr.request import Request  # type: ignore[import-untyped]
from vcr.serializers.compat import convert_to_bytes  # type: ignore[import-untyped]

from parallel_integrations._transport import driver

CASSETTES: Final = Path(__file__).parents[2] / "cassettes"
PUBLIC_API: Final = "https://api.parallel.ai"
REQUEST_HEADERS: Final = ("accept", "content-type", "parallel-beta")
RESPONSE_HEADERS: Final = ("content-type", "retry-after")
MATCH_ON: Final = ("method", "uri", "json body")
HIDDEN_KEY: Final = "[key]"
REPLAY_KEY: Final = "replayed-without-a-key"

Edit: TypeAlias = Callable[[Any], object]
"""Changes the body of a recorded response, as a person could change the file."""

_HOST = re.compile(r"^https?://[^/]+")


@cache
def parsed(text: str) -> Any:
    """The YAML of a cassette as data, which is not to be changed."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


class CassetteFormat:
    """Between vcrpy's cassette and the YAML of ours.

    Args:
        recorded_from: `sandbox` or `live`; stands in the file.
        secret: The key that was recorded with; it must not be in the file.
    """

    def __init__(self, recorded_from: str = "sandbox", secret: str | None = None) -> None:
        self.recorded_from = recorded_from
        self.secret = secret

    def serialize(self, cassette: dict[str, Any]) -> str:
        """The YAML of a cassette."""
        data = {
            "recorded_from": self.recorded_from,
            "interactions": [
                {"request": _written_request(each["request"]), "response": _written(each)}
                for each in cassette["interactions"]
            ],
        }
        text = yaml.dump(
            data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, indent=2
        )
        return text.replace(self.secret, HIDDEN_KEY) if self.secret else text

    def deserialize(self, text: str) -> dict[str, Any]:
        """A cassette from its YAML."""
        return {
            "version": 1,
            "interactions": [
                {
                    "request": {
                        "method": each["request"]["method"],
                        "uri": PUBLIC_API + each["request"]["path"],
                        "headers": _in_lists(each["request"]["headers"]),
                        "body": _wire_body(each["request"]["body"]),
                    },
                    "response": _wire_response(each["response"]),
                }
                for each in parsed(text)["interactions"]
            ],
        }


class _Dumper(yaml.SafeDumper):
    """Puts text with line breaks into blocks."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)  # lists stand inside their key


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # A block cannot hold a line that ends in blanks; PyYAML then falls back to quotes.
    style = "|" if "\n" in text.strip("\n") else '"' if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _written_request(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "method": request["method"],
        "path": _HOST.sub("", request["uri"]),
        "headers": {name: values[0] for name, values in sorted(request["headers"].items())},
        "body": _readable_body(request["body"] or "", "application/json"),
    }


def _written(interaction: dict[str, Any]) -> dict[str, Any]:
    response = interaction["response"]
    headers = {name: ", ".join(values) for name, values in sorted(response["headers"].items())}
    body = _readable_body(response["body"]["string"] or "", headers.get("content-type", ""))
    return {"status": response["status"]["code"], "headers": headers, "body": body}


def _readable_body(body: str, content_type: str) -> Any:
    """`{"json": …}`, `{"events": […]}`, or `{"text": …}` where it is neither."""
    if "json" in content_type:
        try:
            return {"json": json.loads(body)}
        except ValueError:
            pass
    elif "event-stream" in content_type and (events := _read_events(body)) is not None:
        return {"events": events}
    return {"text": body}


def _read_events(body: str) -> list[dict[str, Any]] | None:
    """Events with their data parsed; None where the stream holds more than fields in lines."""
    events = []
    for block in filter(None, re.split(r"\r?\n\r?\n", body)):
        event: dict[str, Any] = {}
        for line in block.splitlines():
            name, colon, value = line.partition(": ")
            if not colon or name not in ("event", "id", "retry", "data") or name in event:
                return None
            event[name] = value
        try:
            event["json"] = json.loads(event["data"])
            del event["data"]
        except (KeyError, ValueError):
            pass
        events.append(event)
    return events


def _wire_response(response: dict[str, Any]) -> dict[str, Any]:
    return {
        "status": {"code": response["status"], "message": None},
        "headers": _in_lists(response["headers"]),
        "body": {"string": _wire_body(response["body"])},
    }


def _wire_body(body: dict[str, Any]) -> str:
    if "json" in body:
        return _wire_json(body["json"])
    if "events" in body:
        return "".join(_wire_event(event) for event in body["events"])
    return str(body["text"])


def _wire_event(event: dict[str, Any]) -> str:
    lines = [
        f"data: {_wire_json(value)}" if name == "json" else f"{name}: {value}"
        for name, value in event.items()
    ]
    return "\n".join([*lines, "", ""])


def _wire_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _in_lists(headers: dict[str, str]) -> dict[str, list[str]]:
    return {name: [value] for name, value in headers.items()}


def _same_json_body(mine: Request, theirs: Request) -> None:
    if mine.body == theirs.body:
        return
    bodies = [json.loads(each.body or "null") for each in (mine, theirs)]
    if bodies[0] != bodies[1]:
        raise AssertionError(f"sent {bodies[0]}\nrecorded {bodies[1]}")


def _cut_request(request: Request) -> Request:
    request = copy.copy(request)
    request.uri = _HOST.sub(PUBLIC_API, request.uri)
    request.headers = {
        name.lower(): value
        for name, value in request.headers.items()
        if name.lower() in REQUEST_HEADERS
    }
    return request


def _cut_response(response: dict[str, Any]) -> dict[str, Any]:
    headers = {name.lower(): values for name, values in response["headers"].items()}
    response["headers"] = {name: headers[name] for name in RESPONSE_HEADERS if name in headers}
    return response


class _Recorder(vcr.VCR):  # type: ignore[misc]
    def _build_before_record_request(self, options: Any) -> Callable[[Request], Request]:
        # vcrpy would copy each request deeply, three times in each exchange.
        return self.before_record_request


def _recorder(form: CassetteFormat, mode: str) -> vcr.VCR:
    recorder = _Recorder(
        serializer="ours",
        record_mode=mode,
        match_on=MATCH_ON,
        decode_compressed_response=True,
        before_record_request=_cut_request,
        before_record_response=_cut_response,
    )
    recorder.register_serializer("ours", form)
    recorder.register_matcher("json body", _same_json_body)
    return recorder


@contextmanager
def recording(
    name: str, *, folder: Path = CASSETTES, recorded_from: str = "sandbox", secret: str | None
) -> Iterator[Cassette]:
    """Write everything that is said meanwhile to `<folder>/<name>.yaml`."""
    path = folder / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    form = CassetteFormat(recorded_from, secret)
    with _recorder(form, "all").use_cassette(str(path), record_on_exception=False) as cassette:
        yield cassette


@contextmanager
def replaying(name: str, *, folder: Path = CASSETTES) -> Iterator[Cassette]:
    """Respond from `<folder>/<name>.yaml`, once each, and from nowhere else.

    No time passes: what was waited for between two requests is over.

    Raises:
        AssertionError: There is no such cassette, or not everything in it was requested.
    """
    with loaded(name, folder=folder) as tape, tape.replaying() as cassette:
        yield cassette


@contextmanager
def loaded(name: str, *, folder: Path = CASSETTES) -> Iterator["Tape"]:
    """The same, to be replayed any number of times: HTTP is patched once for all of them."""
    path = folder / f"{name}.yaml"
    assert path.is_file(), f"no cassette {path}: add a scenario and run `make record`"
    recorder = _recorder(CassetteFormat(), "none")
    with no_waiting(), recorder.use_cassette(str(path)) as cassette:
        yield Tape(name, cassette, parsed(path.read_text("utf-8"))["interactions"])


class Tape:
    """A cassette while HTTP is patched to respond from it."""

    def __init__(self, name: str, cassette: Cassette, recorded: list[dict[str, Any]]) -> None:
        self._name = name
        self._cassette = cassette
        self._recorded = recorded

    @contextmanager
    def replaying(self, number: int = 0, edit: Edit | None = None) -> Iterator[Cassette]:
        """Respond once each; with `edit`, what it makes of the response of that number."""
        cassette = self._cassette
        cassette.rewind()
        request, response = cassette.data[number]
        if edit is not None:
            edited = copy.deepcopy(self._recorded[number]["response"])
            edit(edited["body"])
            cassette.data[number] = (request, convert_to_bytes(_wire_response(edited)))
        try:
            yield cassette
        finally:
            cassette.data[number] = (request, response)
        left = [
            f"{request.method} {request.path}"
            for number, request in enumerate(cassette.requests)
            if not cassette.play_counts[number]
        ]
        never = ", ".join(left)
        assert not left, f"{self._name} was not replayed to its end; never requested: {never}"


@contextmanager
def no_waiting() -> Iterator[None]:
    """The drivers' pauses between two requests end at once."""

    async def awake(seconds: float) -> None:
        await asyncio.sleep(0)

    with (
        patch.object(driver, "time", _Sleepless(time, lambda seconds: None)),
        patch.object(driver, "asyncio", _Sleepless(asyncio, awake)),
    ):
        yield


class _Sleepless:
    """A module with another `sleep`."""

    def __init__(self, module: Any, sleep: Callable[[float], Any]) -> None:
        self._module = module
        self.sleep = sleep

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)
