"""Reading templates: YAML with CloudFormation's tags into data with lines, and every malformed file into one clear message."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.project import ProjectError
from frostline.project.template import Lines, line_of, parse_template, read_template


def test_short_forms_are_functions() -> None:
    """`!Ref x` and the like are what CloudFormation's long forms are; dates stay text."""
    parsed = parse_template(
        """
AWSTemplateFormatVersion: 2010-09-09
a: !Ref Name
b: !Sub "${x}-y"
c: !GetAtt Table.Arn
d: !If [IsProd, 1, !Ref AWS::NoValue]
e: !Condition IsProd
f: !Join
  - ","
  - [a, !ImportValue z]
""",
        "template.yaml",
    )
    assert parsed == {
        "AWSTemplateFormatVersion": "2010-09-09",
        "a": {"Ref": "Name"},
        "b": {"Fn::Sub": "${x}-y"},
        "c": {"Fn::GetAtt": ["Table", "Arn"]},
        "d": {"Fn::If": ["IsProd", 1, {"Ref": "AWS::NoValue"}]},
        "e": {"Condition": "IsProd"},
        "f": {"Fn::Join": [",", ["a", {"Fn::ImportValue": "z"}]]},
    }


def test_lines_are_remembered_along_a_path() -> None:
    parsed = parse_template("Resources:\n  F:\n    Properties:\n      Timeout: 3\n", "t.yaml")
    assert isinstance(parsed, Lines)
    assert line_of(parsed, "Resources", "F", "Properties", "Timeout") == 4
    assert line_of(parsed, "Resources", "F", "Properties", "Missing") == 3
    assert line_of({"json": 1}, "json") is None


def test_anchors_and_merges() -> None:
    parsed = parse_template("base: &b {x: 1, y: 2}\nother: {<<: *b, y: 3}\nmore: {<<: [*b, {z: 4}]}\nsame: *b\n", "t.yaml")
    assert parsed["other"] == {"x": 1, "y": 3}
    assert parsed["more"] == {"x": 1, "y": 2, "z": 4}
    assert parsed["same"] is parsed["base"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds nothing"),
        ("- a\n- b\n", "holds list"),
        ("just text", "holds str"),
        ("a: [1, 2\nb: 3\n", "template.yaml:2:2: is not valid YAML"),
        ("a:\n\t- b\n", "template.yaml:2:1: is not valid YAML"),
        ("a: 1\na: 2\n", "template.yaml:2:1: has the key 'a' a second time (the first is in line 1)"),
        ("a: &x [*x]\n", "an alias that contains itself"),
        ("a: &x\n  b: *x\n", "an alias that contains itself"),
        ("? [1, 2]\n: 3\n", "a key that is not text"),
        ("a: !!python/object:os.system {}\nb: !!binary xx\n", "has the tag"),
        ("a: {<<: 3}\n", "a merge"),
        ("a: *unknown\n", "undefined alias"),
        ("a: 1\n---\nb: 2\n", "is not valid YAML"),
        ("a: \x00", "is not valid YAML"),
        ("[" * 5000, "nested too deeply"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1]\n"
            + "".join(f"a{n}: &a{n} [{', '.join(['*a' + (str(n - 1) if n else '')] * 9)}]\n" for n in range(9)),
            "aliases",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ProjectError) as caught:
        parse_template(text, "template.yaml")
    assert caught.value.message.startswith("template.yaml") and told in caught.value.message


@pytest.mark.parametrize(
    ("text", "told"), [('{"a": 1,}', ":1:9"), ("[1]", "holds list"), ("", ":1:1"), ("[" * 100_000, "nested too deeply")]
)
def test_json_templates_are_read_as_json(text: str, told: str) -> None:
    with pytest.raises(ProjectError) as caught:
        parse_template(text, "template.json")
    assert told in caught.value.message
    assert parse_template('{"a":\t1}', "template.json") == {"a": 1}


def test_files_that_are_no_templates(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("a: ü".encode("latin-1"))
    (tmp_path / "large.yaml").write_bytes(b"#" * 1_000_001)
    for name, told in (("latin.yaml", "is not UTF-8"), ("large.yaml", "at most"), ("missing.yaml", "cannot be read")):
        with pytest.raises(ProjectError, match=told):
            read_template(tmp_path / name)


_fragments = st.sampled_from(
    ["a", "b", ":", ": ", "- ", "\n", "  ", "!Ref ", "!Sub ", "!GetAtt a.b", "&x ", "*x", "<<", "[", "]", "{", "}", ",", "'", '"', "|", ">", "? ", "!!set ",
     "!!int ", "0x", "1:2", "~", "2001-01-01", "\t", "#", "%", "---\n", "...", "!", "!!binary ", "!!timestamp ", "\u2028", "\x85", "é", "@", "`"]
)  # fmt: skip


@given(st.lists(_fragments, max_size=40).map("".join) | st.text(max_size=60))
def test_no_text_raises_anything_but_a_project_error(text: str) -> None:
    """Whatever stands in the file: data, or a message for a person."""
    try:
        assert isinstance(parse_template(text, "template.yaml"), dict)
    except ProjectError as error:
        assert error.message.startswith("template.yaml")  # noqa: PT017 - it need not be raised
