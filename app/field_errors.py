"""What is wrong with a field of a call, in words of both languages and without repeating what was sent.

The framework says it in English, and now and then with the value, which may be a child's words. So its sentences are
read for what they mean, and what is not understood here is only said to be wrong.
"""

from __future__ import annotations

import re
from typing import Any

from litestar import Request
from litestar.exceptions import ValidationException
from litestar.params import ParameterKwarg

from studio.language import Language, Text

# What handlers call it.
_BODY = "data"
_NOT_ACCEPTED = Text("这个值无效。", "This value is not accepted.")
_REQUIRED = Text("此项必填。", "This is required.")

_MISSING_FIELD = re.compile(r"Object missing required field `(\w+)`")
_MISSING_PARAMETER = re.compile(r"Missing required \w+ parameter '([^']+)' for path ")

_MEANINGS = [
    (re.compile(pattern), Text(zh, en))
    for pattern, zh, en in (
        # Of a body that was left out.
        (r"'data'", _REQUIRED.zh, _REQUIRED.en),
        (r"Expected `str` of length >= 1", "不能为空。", "This must not be empty."),
        (r"Expected `str` of length >= (\d+)", "至少需要 {} 个字符。", "At least {} characters are needed."),
        (r"Expected `str` of length <= (\d+)", "最多 {} 个字符。", "At most {} characters are allowed."),
        (r"Expected `str` matching regex .*", "格式不正确。", "This does not have the right form."),
        (r"Expected `array` of (?:at least )?length >= (\d+)", "至少需要 {} 项。", "At least {} entries are needed."),
        (r"Expected `array` of length <= (\d+)", "最多 {} 项。", "At most {} entries are allowed."),
        (r"Expected `(?:int|float)` >= (-?[\d.]+?)(?:\.0)?", "不能小于 {}。", "This must be {} or more."),
        (r"Expected `(?:int|float)` <= (-?[\d.]+?)(?:\.0)?", "不能大于 {}。", "This must be {} or less."),
        (r"Expected `(?:int|float)` > (-?[\d.]+?)(?:\.0)?", "必须大于 {}。", "This must be more than {}."),
        (r"Expected `(?:int|float)` < (-?[\d.]+?)(?:\.0)?", "必须小于 {}。", "This must be less than {}."),
        (r"Expected `str(?: \| null)?`, got .*", "应为文本。", "This must be text."),
        (r"Expected `int(?: \| null)?`, got .*", "应为整数。", "This must be a whole number."),
        (r"Expected `float(?: \| null)?`, got .*", "应为数字。", "This must be a number."),
        (r"Expected `bool(?: \| null)?`, got .*", "应为 true 或 false。", "This must be true or false."),
        (r"Expected `array(?: \| null)?`, got .*", "应为列表。", "This must be a list."),
        (r"Expected `object(?: \| null)?`, got .*", "应为 JSON 对象。", "This must be a JSON object."),
        (
            r"Invalid RFC3339 encoded datetime|Expected `datetime.*",
            "应为日期时间，例如 2026-01-31T08:00:00Z。",
            "This must be a time such as 2026-01-31T08:00:00Z.",
        ),
        (
            r"Invalid RFC3339 encoded date|Expected `date`.*",
            "应为日期，例如 2026-01-31。",
            "This must be a date such as 2026-01-31.",
        ),
        (r"Invalid enum value .*", "不是可选的值。", "This is not one of the possible values."),
        (r"(?:Integer|Number|Integer value) out of range", "数字超出范围。", "This number is out of range."),
    )
]


def field_errors(
    request: Request[Any, Any, Any], error: ValidationException, language: Language
) -> list[dict[str, str]]:
    """`field` and `message` of each thing that is wrong; `field` is as callers know it, `body` for the whole body."""
    missing = _MISSING_PARAMETER.match(error.detail)
    if missing:
        return [{"field": missing[1], "message": _REQUIRED.in_(language)}]
    details = error.extra if isinstance(error.extra, list) else []
    return [_field_error(request, detail, language) for detail in details]


def _field_error(request: Request[Any, Any, Any], detail: dict[str, Any], language: Language) -> dict[str, str]:
    field, message = _name(request, detail), detail.get("message", "")
    missing = _MISSING_FIELD.fullmatch(message)
    if missing:
        path = [field, missing[1]] if field else [missing[1]]
        return {"field": ".".join(path), "message": _REQUIRED.in_(language)}
    return {"field": field or "body", "message": _meaning(message).in_(language)}


def _name(request: Request[Any, Any, Any], detail: dict[str, Any]) -> str:
    """The path of a field in the body; the name on the wire of a parameter; empty for the whole body."""
    key: str = detail.get("key", _BODY)
    if key == _BODY:
        return ""
    if detail.get("source") == "body":
        return key
    name, dot, rest = key.partition(".")
    parameter = request.route_handler.parsed_fn_signature.parameters.get(name)
    told = parameter.kwarg_definition if parameter else None
    alias = told.name if isinstance(told, ParameterKwarg) else None
    return f"{alias or name}{dot}{rest}"


def _meaning(message: str) -> Text:
    for pattern, text in _MEANINGS:
        match = pattern.fullmatch(message)
        if match:
            return Text(text.zh.format(*match.groups()), text.en.format(*match.groups()))
    return _NOT_ACCEPTED
