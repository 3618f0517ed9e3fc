"""Writes plain values as TOML: root keys, tables, arrays of tables."""

import json


def document(config):
    lines = []
    _table(lines, (), config)
    return "\n".join(lines) + "\n"


def _table(lines, path, table):
    later = []
    for key, value in table.items():
        if isinstance(value, dict) or (isinstance(value, list) and value and all(isinstance(v, dict) for v in value)):
            later.append((key, value))
        else:
            lines.append(f"{_key(key)} = {scalar(value)}")
    for key, value in later:
        name = (*path, key)
        header = ".".join(_key(part) for part in name)
        for each in value if isinstance(value, list) else [value]:
            lines.append(f"[[{header}]]" if isinstance(value, list) else f"[{header}]")
            _table(lines, name, each)


def _key(key):
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)


class Raw(str):
    """Text that goes into the file as it stands."""


def scalar(value):
    if isinstance(value, Raw):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ", ".join(scalar(each) for each in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {scalar(each)}" for key, each in value.items()) + " }"
    return repr(value)
