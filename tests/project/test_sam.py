"""Templates: which functions they describe, and what is said about those that cannot be run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from frostline.core.function import UNRESERVED_QUEUE, Function
from frostline.project import ProjectError, Source
from frostline.project.sam import Template, merged, read
from frostline.project.template import Lines

Read = Callable[..., Template]


@pytest.fixture
def template(tmp_path: Path) -> Read:
    """Read a template's text; its functions' code is in `src`, beside it."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("def handler(event, context): pass\n")

    def reading(text: str, name: str = "template.yaml", **options: Any) -> Template:
        (tmp_path / name).write_text(text)
        return read(tmp_path / name, Source(path=tmp_path / name, cache=tmp_path / "cache", **options))

    return reading


def one(found: Template) -> Function:
    assert found.refused == ()
    (described,) = found.functions
    return described.function


def refusal(found: Template) -> str:
    assert found.functions == ()
    (refused,) = found.refused
    return refused.message


FUNCTION = "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      Handler: app.handler\n      Runtime: python3.12\n      CodeUri: src\n"


def test_defaults_are_awss(template: Read) -> None:
    assert one(template(FUNCTION)) == Function(
        name="F", runtime="python3.12", handler="app.handler", revision="", queue_limit=UNRESERVED_QUEUE
    )


def test_every_property_that_means_something_here(template: Read) -> None:
    found = template(
        FUNCTION
        + """
      FunctionName: named
      Timeout: 30
      MemorySize: "256"
      Description: what it does
      Environment: {Variables: {AA: 1, BB: true, CC: 1.5, DD: "", EE: text}}
      EphemeralStorage: {Size: 1024}
      ReservedConcurrentExecutions: 0
      Architectures: [arm64]
      EventInvokeConfig: {MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60, DestinationConfig: {OnFailure: {Type: SQS}}}
      LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: DEBUG, SystemLogLevel: WARN}
      Tracing: Active
      Events: {Api: {Type: Api, Properties: {Path: /, Method: get}}}
      Policies: [!Sub "${AWS::Partition}"]
""",
        region="eu-west-1",
    )
    assert one(found) == Function(
        name="named",
        runtime="python3.12",
        handler="app.handler",
        revision="",
        timeout_s=30.0,
        memory_mb=256,
        description="what it does",
        environment={"AA": "1", "BB": "true", "CC": "1.5", "DD": "", "EE": "text"},
        ephemeral_mb=1024,
        concurrency=0,
        architecture="arm64",
        maximum_retry_attempts=0,
        maximum_event_age_s=60.0,
        log_format="JSON",
        application_log_level="DEBUG",
        system_log_level="WARN",
        tracing="Active",
        region="eu-west-1",
    )
    assert found.functions[0].logical_id == "F"


def test_plain_cloudformation_and_the_cdk(template: Read, tmp_path: Path) -> None:
    """AWS::Lambda::Function with a local path, and what `cdk synth` writes: Code in S3, and the folder in its metadata."""
    found = template(
        """
Resources:
  A: {Type: 'AWS::Lambda::Function', Properties: {Handler: app.handler, Runtime: python3.12, Code: ./src, TracingConfig: {Mode: Active}}}
  B:
    Type: AWS::Lambda::Function
    Properties: {Handler: app.handler, Runtime: python3.12, Code: {S3Bucket: b, S3Key: k}}
    Metadata: {'aws:asset:path': src}
"""
    )
    assert [described.code for described in found.functions] == [tmp_path / "src"] * 2
    assert found.functions[0].function.tracing == "Active"


@pytest.mark.parametrize(
    "form",
    [
        "InlineCode: |\n        def handler(event, context): return 1\n",
        "Code:\n        ZipFile: |\n          def handler(event, context): return 1\n",
    ],
)
def test_inline_code_becomes_a_file(form: str, template: Read) -> None:
    kind = "AWS::Serverless::Function" if form.startswith("Inline") else "AWS::Lambda::Function"
    found = template(
        f"Resources:\n  F:\n    Type: {kind}\n    Properties:\n      Handler: index.handler\n      Runtime: python3.12\n      {form}"
    )
    assert (found.functions[0].code / "index.py").read_text() == "def handler(event, context): return 1\n"


def test_globals_are_merged_by_awss_rule(template: Read) -> None:
    """Maps are merged, primitives overridden, lists added; CloudFormation's functions are no maps."""
    found = template(
        """
Globals:
  Function:
    Runtime: python3.12
    Timeout: 7
    CodeUri: src
    Environment: {Variables: {BOTH: global, ONLY: global}}
Resources:
  A: {Type: 'AWS::Serverless::Function', Properties: {Handler: app.handler, Timeout: 9, Environment: {Variables: {BOTH: own}}}}
  B: {Type: 'AWS::Serverless::Function', Properties: {Handler: app.handler}, IgnoreGlobals: [Timeout]}
  C: {Type: 'AWS::Lambda::Function', Properties: {Handler: app.handler, Runtime: python3.11, Code: src}}
"""
    )
    a, b, c = (described.function for described in found.functions)
    assert (a.timeout_s, a.environment) == (9.0, {"BOTH": "own", "ONLY": "global"})
    assert (b.timeout_s, b.environment) == (3.0, {"BOTH": "global", "ONLY": "global"})
    assert (c.runtime, c.environment) == ("python3.11", {})


def test_merging() -> None:
    own = Lines()
    own.update({"list": [2], "function": {"Fn::If": ["a", 1, 2]}, "new": 1})
    own.lines = {"list": 9}
    result = merged({"list": [1], "function": {"x": 1}, "shared": 3}, own)
    assert result == {"list": [1, 2], "function": {"Fn::If": ["a", 1, 2]}, "shared": 3, "new": 1}
    assert result.lines == {"list": 9}


INTRINSICS = """
Parameters:
  Stage: {Type: String, Default: dev}
  Size: {Type: Number, Default: 512}
  Names: {Type: CommaDelimitedList, Default: "a,b"}
  Secret: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /path/secret}
Mappings:
  PerStage: {dev: {timeout: 5}, prod: {timeout: 25}}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  NotProd: !Not [!Condition IsProd]
  Either: !Or [!Condition IsProd, !Equals [!Ref "AWS::Region", us-east-1]]
  Broken: !Equals [!Ref Nothing, 1]
Resources:
  Table: {Type: 'AWS::DynamoDB::Table'}
  Other: {Type: 'AWS::Serverless::Function', Condition: IsProd, Properties: {Handler: a.b, Runtime: python3.12, CodeUri: src}}
  F:
    Type: AWS::Serverless::Function
    Condition: NotProd
    Properties:
      FunctionName: !Sub "hello-${Stage}"
      Handler: !Join [".", [app, handler]]
      Runtime: python3.12
      CodeUri: !Select [0, [src, other]]
      Timeout: !FindInMap [PerStage, !Ref Stage, timeout]
      MemorySize: !Ref Size
      Description: !If [IsProd, production, !Ref "AWS::NoValue"]
      Environment:
        Variables:
          TABLE: !Ref Table
          TABLE_ARN: !GetAtt Table.Arn
          SELF: !Ref Other
          SUB: !Sub ["${a}-${AWS::AccountId}-${!literal}", {a: !Ref Stage}]
          LIST: !Join ["/", !Ref Names]
          SPLIT: !Select [1, !Split [":", "x:y"]]
          EITHER: !If [Either, "yes", "no"]
          IMPORTED: !ImportValue other-stack-export
          SECRET: !Ref Secret
          DYNAMIC: "{{resolve:secretsmanager:db:SecretString:password}}"
          NONE: !If [IsProd, x, !Ref "AWS::NoValue"]
          EMPTY: ""
          B64: !Base64 text
          ZONE: !Select [0, !GetAZs ""]
          STACK: !Ref AWS::StackName
"""


def test_intrinsic_functions(template: Read) -> None:
    """All resolved; what exists only on AWS is a placeholder, and a note says which; a condition that is wrong and unused harms nobody."""
    found = template(INTRINSICS)
    function = one(found)
    assert (function.name, function.handler, function.timeout_s, function.memory_mb, function.description) == (
        "hello-dev",
        "app.handler",
        5.0,
        512,
        "",
    )
    assert function.environment == {
        "TABLE": "Table",
        "TABLE_ARN": "Table.Arn",
        "SELF": "Other",
        "SUB": "dev-123456789012-${literal}",
        "LIST": "a/b",
        "SPLIT": "y",
        "EITHER": "yes",
        "IMPORTED": "ImportValue:other-stack-export",
        "SECRET": "/path/secret",
        "DYNAMIC": "{{resolve:secretsmanager:db:SecretString:password}}",
        "EMPTY": "",
        "B64": "dGV4dA==",
        "ZONE": "us-east-1a",
        "STACK": "frostline",
    }
    (note,) = found.notes
    assert "Table.Arn" in note and "ImportValue:other-stack-export" in note


def test_parameter_overrides(template: Read) -> None:
    found = template(INTRINSICS.replace("Condition: NotProd", ""), parameters={"Stage": "prod"})
    function = next(described.function for described in found.functions if described.logical_id == "F")
    assert (function.name, function.timeout_s, function.description) == ("hello-prod", 25.0, "production")
    with pytest.raises(ProjectError, match=r"has no parameter Stages to override\. Its parameters: Stage, Size"):
        template(INTRINSICS, parameters={"Stages": "prod"})


def test_references_to_functions_are_their_names_and_arns(template: Read) -> None:
    found = template(
        FUNCTION + "      Environment: {Variables: {NEXT: !Ref G, NEXT_ARN: !GetAtt G.Arn}}\n"
        "  G: {Type: 'AWS::Serverless::Function', Properties: {FunctionName: next, Handler: app.handler, Runtime: python3.12, CodeUri: src}}\n"
    )
    assert found.functions[0].function.environment == {"NEXT": "next", "NEXT_ARN": "arn:aws:lambda:us-east-1:123456789012:function:next"}
    assert found.notes == ()


def test_layers(template: Read, tmp_path: Path) -> None:
    """Local ones in their order; one that is not on this machine is left out, with a note that says what to do."""
    for name in ("one", "two"):
        (tmp_path / name / "python").mkdir(parents=True)
    found = template(
        FUNCTION
        + "      Layers: [!Ref Two, 'arn:aws:lambda:us-east-1:580247275435:layer:LambdaInsightsExtension:14', !Ref One, !If [X, !Ref One, !Ref AWS::NoValue]]\n"
        "  One: {Type: 'AWS::Serverless::LayerVersion', Properties: {ContentUri: one}}\n"
        "  Two: {Type: 'AWS::Lambda::LayerVersion', Properties: {Content: ./two}}\n"
        "Conditions: {X: !Equals [1, 2]}\n"
    )
    (described,) = found.functions
    assert described.layers == (tmp_path / "two", tmp_path / "one")
    assert len(described.function.layers) == 3
    assert "LambdaInsightsExtension:14 is not on this machine and was left out" in found.notes[0]
    assert set(found.watched) == {tmp_path / "src", tmp_path / "one", tmp_path / "two"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("Handler: app.handler", "X: 1"), "template.yaml:4: F.Handler: is missing. It names the file and the function in it"),
        (("Runtime: python3.12", "X: 1"), "F.Runtime: is missing. Say which runtime"),
        (("CodeUri: src", "CodeUri: sources"), "template.yaml:7: F.CodeUri: is 'sources', and there is no "),
        (("CodeUri: src", "CodeUri: s3://bucket/key"), "F.CodeUri: is s3://bucket/key, which is not on this machine"),
        (("CodeUri: src", "CodeUri: {Bucket: b, Key: k}"), "F.CodeUri: must name a local folder or zip, and is a place in S3."),
        (("CodeUri: src", "CodeUri: src\n      PackageType: Image"), "template.yaml:8: F.PackageType: is Image. Frostline runs functions"),
        (("CodeUri: src", "CodeUri: src\n      Timeout: soon"), "template.yaml:8: F.Timeout: must be a whole number from 1 to 900, and is 'soon'."),
        (("CodeUri: src", "CodeUri: src\n      Timeout: 901"), "must be a whole number from 1 to 900, and is 901."),
        (("CodeUri: src", "CodeUri: src\n      MemorySize: 1"), "must be a whole number from 128"),
        (("CodeUri: src", "CodeUri: src\n      Environment: [1]"), "F.Environment: must be a mapping, and is a list of 1."),
        (("CodeUri: src", "CodeUri: src\n      Environment: {Variables: {AA: [1]}}"), "F.Environment.Variables.AA: must be text, and is a list of 1."),
        (("CodeUri: src", "CodeUri: src\n      Environment: {Variables: {AWS_REGION: x}}"), "Reserved keys used in this request: AWS_REGION"),
        (("CodeUri: src", "CodeUri: src\n      Description: !Ref Missing"), "F.Description: cannot be resolved: Fn::Ref - Missing is not a valid Resource"),
        (("CodeUri: src", "CodeUri: src\n      Description: !If [Nope, a, b]"), "cannot be resolved: there is no condition 'Nope' in `Conditions`."),
        (("CodeUri: src", "CodeUri: src\n      Description: !FindInMap [A, b, c]"), "cannot be resolved: Unable to find A in Mappings"),
        (("CodeUri: src", "CodeUri: src\n      Description: !Ref P\nParameters: {P: {Type: String}}"), "give it with --parameter Name=Value"),
        (("CodeUri: src", "CodeUri: src\n      Description: !If [C, a, b]\nConditions: {C: !Condition C}"), "the condition 'C' refers to itself"),
        (("CodeUri: src", "CodeUri: src\n      Description: !Unknown x"), "cannot be resolved: Fn::Unknown"),
        (("CodeUri: src", "CodeUri: src\n      Layers: [!Ref F]"), "F.Layers: names 'F', which is neither a layer of this template nor an ARN."),
        (("CodeUri: src", "CodeUri: src\n    Metadata: {BuildMethod: esbuild}"), "is built by esbuild, and its build is missing"),
    ],
)  # fmt: skip
def test_a_function_that_cannot_be_run_is_refused(change: tuple[str, str], told: str, template: Read, tmp_path: Path) -> None:
    message = refusal(template(FUNCTION.replace(*change)))
    assert message.startswith(str(tmp_path / "template.yaml")) and told in message


def test_one_refused_function_does_not_stop_the_others(template: Read) -> None:
    found = template(FUNCTION + "  G: {Type: 'AWS::Serverless::Function', Properties: {PackageType: Image}}\n")
    assert [described.logical_id for described in found.functions] == ["F"]
    assert [refused.name for refused in found.refused] == ["G"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1", "has no `Resources:`"),
        ("Resources: []", "template.yaml:1: Resources must be a mapping"),
        ("Resources:\n  F: 1", "template.yaml:2: the resource F must be a mapping with a Type"),
        (FUNCTION + "  G: {Type: 'AWS::Serverless::Function', Properties: {FunctionName: F, Handler: a.b, Runtime: python3.12, CodeUri: src}}\n",
         "the function name 'F' is taken by F"),
        (FUNCTION.replace("Properties:\n", "Condition: Nope\n    Properties:\n"), "F.Condition cannot be resolved"),
    ],
)  # fmt: skip
def test_a_template_that_is_wrong_is_an_error(text: str, told: str, template: Read) -> None:
    with pytest.raises(ProjectError) as caught:
        template(text)
    assert told in caught.value.message


_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-5, 2000)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["src", "F", "../x", "\0", "arn:aws:x", "s3://b", "python3.12", "app.handler", "C", "P", "AWS::NoValue", "Image"])
)
_names = st.sampled_from(
    ["Ref", "Fn::Sub", "Fn::If", "Fn::Join", "Fn::GetAtt", "Fn::FindInMap", "Fn::Select", "Fn::Split", "Fn::Equals", "Fn::Not", "Fn::And", "Condition",
     "Fn::ImportValue",
     "Fn::Length", "Fn::ToJsonString", "Fn::Cidr", "Fn::Base64", "Fn::ForEach::X", "Fn::Transform", "Fn::GetAZs", "Size", "Variables", "X"]
)  # fmt: skip
_values = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3), max_leaves=8)
_properties = st.dictionaries(
    st.sampled_from(
        ["Handler", "Runtime", "CodeUri", "Code", "InlineCode", "Timeout", "MemorySize", "Environment", "Layers", "EphemeralStorage", "FunctionName",
         "Architectures",
         "EventInvokeConfig", "LoggingConfig", "Tracing", "TracingConfig", "PackageType", "ContentUri", "Content"]
    ),
    _values,
)  # fmt: skip
_resources = st.dictionaries(
    st.sampled_from(["F", "G", "L", "Fn::ForEach::Loop"]),
    _values
    | st.fixed_dictionaries(
        {
            "Type": st.sampled_from(
                ["AWS::Serverless::Function", "AWS::Lambda::Function", "AWS::Serverless::LayerVersion", "AWS::S3::Bucket", 1, None]
            )
        },
        optional={"Properties": _properties | _values, "Condition": _values, "Metadata": _values, "IgnoreGlobals": _values},
    ),
)
_templates = st.fixed_dictionaries(
    {"Resources": _resources},
    optional={
        "Globals": _values | st.fixed_dictionaries({"Function": _properties | _values}),
        "Parameters": _values | st.dictionaries(st.just("P"), _values),
        "Conditions": _values | st.dictionaries(st.sampled_from(["C", "D"]), _values),
        "Mappings": _values,
        "Transform": _values,
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(_templates | _values)
@example(
    {
        "Resources": {
            "F": {"Type": "AWS::Serverless::Function", "Properties": {"Handler": "a.b", "Runtime": "python3.12", "InlineCode": "\ud800"}}
        }
    }
)
def test_no_structure_raises_anything_but_a_project_error(template: Read, content: object) -> None:
    """Whatever a template says: functions, refusals, or a message for a person."""
    try:
        found = template(json.dumps(content), "template.json")
    except ProjectError as error:
        assert "template.json" in error.message  # noqa: PT017 - it need not be raised
    else:
        assert all("template.json" in refused.message for refused in found.refused)
