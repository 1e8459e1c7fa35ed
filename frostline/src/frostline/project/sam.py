"""SAM and CloudFormation templates: which functions they describe.

Read are `AWS::Serverless::Function` and `AWS::Lambda::Function` with local code, and layers with local content. `Globals` are merged by AWS's rule
("lists are additive, maps are merged, primitives are overridden"); everything else that needs knowledge of CloudFormation is `intrinsics`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from ..core.function import ACCOUNT_ID, DEFAULT_CONCURRENCY, DEFAULT_EPHEMERAL_MB, DEFAULT_MEMORY_MB, UNRESERVED_QUEUE, Function
from . import archive
from .environ import check_variables
from .intrinsics import Known, Resolver, Unresolved
from .model import ProjectError, Refused, Source
from .properties import Properties, is_function
from .template import line_of, read_template

SERVERLESS = "AWS::Serverless::Function"
PLAIN = "AWS::Lambda::Function"
_LAYERS = {"AWS::Serverless::LayerVersion": "ContentUri", "AWS::Lambda::LayerVersion": "Content"}

_NEEDS_BUILD = ("makefile", "esbuild", "go1.x", "rust-cargolambda", "dotnet", "java", "ruby")
"""Values of `Metadata.BuildMethod` whose result is not the source folder."""


class Described(Struct, frozen=True, kw_only=True):
    """A function as its template describes it, before anything is known about its runtime."""

    function: Function
    """Without revision and code fields."""
    code: Path
    """A directory."""
    package: Path
    """What the template names: the same directory, or a zip."""
    layers: tuple[Path, ...]
    logical_id: str
    where: str
    """How messages about it begin."""


class Template(Struct, frozen=True, kw_only=True):
    """What was found in a template."""

    functions: tuple[Described, ...]
    refused: tuple[Refused, ...]
    notes: tuple[str, ...]
    watched: tuple[Path, ...]
    """Code and layers, apart from the template itself."""


def read(file: Path, source: Source) -> Template:
    """The functions of a template. One that cannot be run is refused, the others are there; raises `ProjectError` when the template is wrong."""
    return _Reading(file, source).read()


class _Reading:
    def __init__(self, file: Path, source: Source) -> None:
        self.file = file
        self.source = source
        self.template = read_template(file)
        self.resources = self.checked_resources()
        self.notes: list[str] = []
        self.watched: list[Path] = []
        self.layer_names = {self.layer_arn(name): name for name, resource in self.resources.items() if resource.get("Type") in _LAYERS}
        unknown = sorted(source.parameters.keys() - self.section("Parameters").keys())
        if unknown:
            declared = ", ".join(self.section("Parameters")) or "none"
            raise ProjectError(f"{file}: has no parameter {', '.join(unknown)} to override. Its parameters: {declared}.")
        self.resolver = Resolver(self.template, source.parameters, self.known(), source.region)

    def section(self, name: str) -> dict[str, Any]:
        section = self.template.get(name)
        if section is not None and not isinstance(section, dict):
            line = line_of(self.template, name)
            raise ProjectError(f"{self.file}{f':{line}' if line else ''}: {name} must be a mapping.")
        return section or {}

    def checked_resources(self) -> dict[str, dict[str, Any]]:
        resources = self.section("Resources")
        if not resources:
            raise ProjectError(f"{self.file}: has no `Resources:`, so it describes no function. Is this a SAM or CloudFormation template?")
        for name, resource in resources.items():
            if not name.startswith("Fn::") and not isinstance(resource, dict):
                raise ProjectError(
                    f"{self.file}:{line_of(self.template, 'Resources', name) or 1}: the resource {name} must be a mapping with a Type."
                )
        return {name: resource for name, resource in resources.items() if isinstance(resource, dict)}

    def layer_arn(self, name: str) -> str:
        return f"arn:aws:lambda:{self.source.region}:{ACCOUNT_ID}:layer:{name}:1"

    def known(self) -> dict[str, Known]:
        """What references to functions and layers of this template yield."""
        known = {name: Known({"ref": arn, "LayerVersionArn": arn, "Arn": arn}) for arn, name in self.layer_names.items()}
        for name, resource in self.resources.items():
            if resource.get("Type") in (SERVERLESS, PLAIN):
                properties = resource.get("Properties")
                given = properties.get("FunctionName") if isinstance(properties, dict) else None
                called = given if isinstance(given, str) else name
                known[name] = Known({"ref": called, "Arn": f"arn:aws:lambda:{self.source.region}:{ACCOUNT_ID}:function:{called}"})
        return known

    def read(self) -> Template:
        functions: list[Described] = []
        refused: list[Refused] = []
        for name, resource in self.resources.items():
            if resource.get("Type") not in (SERVERLESS, PLAIN) or not self.is_there(name, resource):
                continue
            try:
                functions.append(self.function(name, resource))
            except ProjectError as error:
                refused.append(Refused(name, error.message))
        self.check_names(functions)
        placeholders = self.resolver.placeholders
        if placeholders:
            self.notes.append("Values that exist only on AWS are replaced by placeholders: " + ", ".join(sorted(placeholders)) + ".")
        return Template(
            functions=tuple(functions),
            refused=tuple(refused),
            notes=tuple(dict.fromkeys(self.notes)),
            watched=tuple(dict.fromkeys(self.watched)),
        )

    def is_there(self, name: str, resource: Mapping[str, Any]) -> bool:
        if "Condition" not in resource:
            return True
        try:
            return self.resolver.condition(resource["Condition"])
        except Unresolved as error:
            line = line_of(self.template, "Resources", name, "Condition")
            raise ProjectError(f"{self.file}{f':{line}' if line else ''}: {name}.Condition cannot be resolved: {error}.") from None

    def check_names(self, functions: list[Described]) -> None:
        first: dict[str, Described] = {}
        for described in functions:
            other = first.setdefault(described.function.name, described)
            if other is not described:
                raise ProjectError(
                    f"{described.where}: the function name {described.function.name!r} is taken by {other.logical_id}. "
                    "Names must differ: change one FunctionName."
                )

    def properties(self, name: str, resource: Mapping[str, Any]) -> Properties:
        written = resource.get("Properties")
        if written is not None and not isinstance(written, dict):
            raise ProjectError(f"{self.file}:{line_of(self.template, 'Resources', name) or 1}: {name}.Properties must be a mapping.")
        own = written or {}
        if resource.get("Type") == SERVERLESS:
            shared = self.section("Globals").get("Function")
            if isinstance(shared, dict):
                ignored = resource.get("IgnoreGlobals", [])
                shared = {
                    key: value
                    for key, value in shared.items()
                    if ignored != "*" and key not in (ignored if isinstance(ignored, list) else [])
                }
                own = merged(shared, own)
        return Properties(self.file, self.template, name, own, self.resolver)

    def function(self, name: str, resource: Mapping[str, Any]) -> Described:
        properties = self.properties(name, resource)
        if (properties.text("PackageType") or "Zip") == "Image":
            raise properties.error(
                ("PackageType",), "is Image. Frostline runs functions from a folder or a zip, not from a container image."
            )
        runtime = properties.required(
            "Runtime", hint="Say which runtime the function has, for example python3.12, nodejs20.x or provided.al2023."
        )
        inline = (
            properties.text("InlineCode")
            if resource.get("Type") == SERVERLESS
            else properties.text("Code", "ZipFile")
            if self.inline(properties)
            else None
        )
        handler = properties.text("Handler") or ""
        if not handler and not runtime.startswith("provided"):
            raise properties.error(("Handler",), "is missing. It names the file and the function in it, for example `app.handler`.")
        package = self.inline_code(inline, runtime) if inline is not None else self.local_code(properties, resource)
        environment = properties.texts("Environment", "Variables")
        check_variables(environment, properties.where("Environment", "Variables"))
        layers = list(self.layers(properties))
        reserved = properties.value("ReservedConcurrentExecutions") is not None
        function = Function(
            name=properties.text("FunctionName") or name,
            runtime=runtime,
            handler=handler or "bootstrap",
            revision="",
            memory_mb=properties.number("MemorySize", least=128, most=32768, default=DEFAULT_MEMORY_MB),
            timeout_s=float(properties.number("Timeout", least=1, most=900, default=3)),
            ephemeral_mb=properties.number("EphemeralStorage", "Size", least=512, most=10240, default=DEFAULT_EPHEMERAL_MB),
            environment={**environment, **self.source.environment},
            description=properties.text("Description") or "",
            region=self.source.region,
            architecture=str(next(iter(properties.list("Architectures")), "x86_64")),
            concurrency=properties.number("ReservedConcurrentExecutions", least=0, most=100_000, default=DEFAULT_CONCURRENCY),
            queue_limit=0 if reserved else UNRESERVED_QUEUE,
            layers=tuple(label for label, _ in layers),
            log_format=properties.text("LoggingConfig", "LogFormat") or "Text",
            application_log_level=properties.text("LoggingConfig", "ApplicationLogLevel"),
            system_log_level=properties.text("LoggingConfig", "SystemLogLevel"),
            maximum_retry_attempts=properties.number("EventInvokeConfig", "MaximumRetryAttempts", least=0, most=2, default=2),
            maximum_event_age_s=float(
                properties.number("EventInvokeConfig", "MaximumEventAgeInSeconds", least=60, most=21600, default=21600)
            ),
            tracing=self.tracing(properties),
        )
        return Described(
            function=function,
            code=self.folder(package),
            package=package,
            layers=tuple(path for _, path in layers if path is not None),
            logical_id=name,
            where=properties.where(),
        )

    @staticmethod
    def tracing(properties: Properties) -> str:
        value = properties.value("Tracing")
        mode = value or properties.text("TracingConfig", "Mode")
        return mode if isinstance(mode, str) else "PassThrough"

    @staticmethod
    def inline(properties: Properties) -> bool:
        code = properties.value("Code")
        return isinstance(code, dict) and "ZipFile" in code

    def inline_code(self, text: str, runtime: str) -> Path:
        name = "index.py" if runtime.startswith("python") else "index.js"
        key = hashlib.sha256(f"{name}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return archive.made(self.source.cache / "code" / f"inline-{key}", lambda target: _write(target / name, text))

    def local_code(self, properties: Properties, resource: Mapping[str, Any]) -> Path:
        """The folder or zip a function's code is in."""
        metadata = resource.get("Metadata") if isinstance(resource.get("Metadata"), dict) else {}
        assert isinstance(metadata, dict)
        key = "CodeUri" if resource.get("Type") == SERVERLESS else "Code"
        asset = metadata.get("aws:asset:path")  # written by the CDK, whose Code is a place in S3
        value = asset if isinstance(asset, str) else properties.value(key)
        if value is None and key == "CodeUri":
            value = "."
        if not isinstance(value, str):
            raise properties.error(
                (key,), f"must name a local folder or zip, and is {'a place in S3' if isinstance(value, dict) else 'missing'}."
            )
        method = metadata.get("BuildMethod")
        if isinstance(method, str) and method.lower().startswith(_NEEDS_BUILD) and ".aws-sam" not in self.file.parts:
            raise ProjectError(
                f"{properties.where()}: is built by {method}, and its build is missing or out of date. Run `sam build` first."
            )
        return self.local(properties, (key,), value)

    def local(self, properties: Properties, path: tuple[str, ...], value: str) -> Path:
        if value.startswith(("s3://", "https://", "http://")):
            raise properties.error(path, f"is {value}, which is not on this machine. Name a local folder or zip.")
        try:
            found = (self.file.parent / value).resolve()
            exists = found.exists()
        except (OSError, ValueError, RuntimeError):
            raise properties.error(path, f"is {value!r}, which is not a usable path.") from None
        self.watched.append(found)
        if not exists:
            raise properties.error(path, f"is {value!r}, and there is no {found}. Paths are relative to the template's folder.")
        return found

    def folder(self, package: Path) -> Path:
        return package if package.is_dir() else archive.extract(package, self.source.cache)

    def layers(self, properties: Properties) -> Iterator[tuple[str, Path | None]]:
        """Each layer as the user wrote it, and its folder here; None for one that is not on this machine."""
        for value in properties.list("Layers"):
            name = self.layer_names.get(value) if isinstance(value, str) else None
            if name is None:
                if isinstance(value, str) and value.startswith("arn:"):
                    self.notes.append(
                        f"{properties.name}: the layer {value} is not on this machine and was left out. Download it, and name its folder in a "
                        "AWS::Serverless::LayerVersion resource's ContentUri to have it."
                    )
                    yield value, None
                    continue
                raise properties.error(("Layers",), f"names {value!r}, which is neither a layer of this template nor an ARN.")
            resource = self.resources[name]
            layer = self.properties(name, resource)
            key = _LAYERS[resource["Type"]]
            content = layer.value(key)
            if not isinstance(content, str):
                raise layer.error((key,), "must name a local folder or zip.")
            metadata = resource.get("Metadata")
            folder = self.folder(self.local(layer, (key,), content))
            if isinstance(metadata, dict) and metadata.get("BuildMethod") and ".aws-sam" not in self.file.parts:
                folder = self.unbuilt_layer(name, folder, str(metadata["BuildMethod"]))
            yield value, folder

    def unbuilt_layer(self, name: str, folder: Path, method: str) -> Path:
        # `sam build` moves a layer's content under `python/` or `nodejs/`; unbuilt content may already lie there.
        if not any((folder / child).exists() for child in ("python", "nodejs", "bin", "lib", "extensions")):
            self.notes.append(
                f"The layer {name} is to be built by {method}, and is used as it is. Run `sam build` to have its dependencies."
            )
        return folder


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    path.chmod(0o444)


def merged(shared: Any, own: Any) -> Any:
    """`Globals` under a resource's own properties: maps merged, lists added (the shared items first), everything else overridden."""
    if isinstance(shared, dict) and isinstance(own, dict) and not is_function(shared) and not is_function(own):
        made = type(own)()
        made.update({key: merged(shared[key], own[key]) if key in own else value for key, value in shared.items()})
        made.update({key: value for key, value in own.items() if key not in shared})
        if hasattr(own, "lines") and hasattr(made, "lines"):
            made.lines.update(own.lines)
        return made
    if isinstance(shared, list) and isinstance(own, list):
        return [*shared, *own]
    return own
