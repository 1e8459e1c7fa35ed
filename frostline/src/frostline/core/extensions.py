"""The extensions of one environment: registration and next, by the rules of the Extensions API 2020-01-01.

This module decides what an extension's request is answered and keeps each extension's state. What that means for the environment
(an init that is complete, an invocation that is done) is the environment's business: it asks `all_registered`, `all_ready` and `all_done`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .effects import Accepted, Refused, Registered, Reply, Subscribed
from .events import ExtensionExitFailed, ExtensionInitFailed, ExtensionNext, ExtensionRegister, TelemetrySubscribe
from .function import ACCOUNT_ID, Function
from .members import EXTENSION_EVENTS, MAX_EXTENSIONS, Extension, ExtensionState


def _refused(error_type: str, message: str) -> Refused:
    return Refused(status=403, error_type=f"Extension.{error_type}", message=message)


class Extensions:
    """All extensions of an environment, external ones from its start, internal ones as they register."""

    def __init__(self, function: Function, new_id: Callable[[], str]) -> None:
        self._function = function
        self._new_id = new_id
        self.by_name: dict[str, Extension] = {}
        #: Closed when the runtime asks for its first invocation.
        self.registration_open = True

    def __iter__(self) -> Iterator[Extension]:
        return iter(self.by_name.values())

    def begin(self) -> None:
        """The external ones are being started."""
        self.by_name = {name: Extension(name, external=True) for name in self._function.extensions}
        self.registration_open = True

    def find(self, extension_id: str) -> Extension | None:
        """The extension with this identifier."""
        for extension in self:
            if extension.extension_id == extension_id:
                return extension
        return None

    def of_process(self, process: str) -> Extension | None:
        """The external extension whose process this is."""
        return self.by_name.get(process.removeprefix("extension:"))

    @property
    def all_registered(self) -> bool:
        """Every external extension has registered: the runtime may start."""
        return all(extension.state is not ExtensionState.STARTED for extension in self)

    @property
    def all_ready(self) -> bool:
        """Every registered extension has asked for its first event: the init is done."""
        return all(extension.state is ExtensionState.READY for extension in self)

    @property
    def all_waiting(self) -> bool:
        """Every extension's poll is held: nothing is missed when the environment freezes."""
        return all(extension.exchange is not None for extension in self)

    @property
    def all_done(self) -> bool:
        """No extension is still at work on the invocation."""
        return not any(extension.holds_completion for extension in self)

    # Requests ----------------------------------------------------------------------------------------------------------------------------

    def register(self, event: ExtensionRegister) -> Reply:
        """Answer a registration."""
        extension = self.by_name.get(event.name)
        external = extension is not None and extension.external
        allowed = EXTENSION_EVENTS if external else ("INVOKE",)
        for wanted in event.events:
            if wanted not in allowed:
                why = "ShutdownEventNotSupportedForInternalExtension" if wanted == "SHUTDOWN" else "InvalidEventType"
                return _refused("InvalidEventType", f"{wanted}: {why}")
        if extension is None:
            if not self.registration_open:
                return _refused("RegistrationClosed", "Extension registration closed already")
            if len(self.by_name) >= MAX_EXTENSIONS:
                return _refused("TooManyExtensions", f"Extension limit ({MAX_EXTENSIONS}) reached")
            extension = self.by_name[event.name] = Extension(event.name, external=False)
        elif not external:
            return _refused("InvalidExtensionState", "Extension with this name already registered")
        elif extension.state is not ExtensionState.STARTED:
            return extension.refuse("Registered")
        extension.state = ExtensionState.REGISTERED
        extension.events = event.events
        extension.extension_id = self._new_id()
        return Registered(
            extension_id=extension.extension_id,
            function_name=self._function.name,
            function_version="$LATEST",
            handler=self._function.handler,
            account_id=ACCOUNT_ID if event.account_id_wanted else None,
        )

    def next(self, event: ExtensionNext) -> Refused | None:
        """Take an extension's poll; it is held, unless it is refused."""
        extension = self.find(event.extension_id)
        if extension is None:
            return _refused("UnknownExtensionIdentifier", f"Unknown extension {event.extension_id}")
        if extension.state not in (ExtensionState.REGISTERED, ExtensionState.RUNNING):
            if extension.state is ExtensionState.READY and extension.exchange is None:
                extension.exchange = event.exchange  # it had hung up and asks again
                return None
            return extension.refuse("Ready")
        extension.state = ExtensionState.READY
        extension.exchange = event.exchange
        return None

    def init_failed(self, event: ExtensionInitFailed) -> Reply:
        """`/extension/init/error`: accepted once, from a registered extension."""
        extension = self.find(event.extension_id)
        if extension is None:
            return _refused("UnknownExtensionIdentifier", f"Unknown extension {event.extension_id}")
        if extension.state is ExtensionState.INIT_ERROR:
            return Accepted()
        if extension.state is not ExtensionState.REGISTERED:
            return extension.refuse("InitError")
        extension.state = ExtensionState.INIT_ERROR
        extension.error_type = event.error_type
        return Accepted()

    def exit_failed(self, event: ExtensionExitFailed) -> Reply:
        """`/extension/exit/error`: accepted in every state after registration."""
        extension = self.find(event.extension_id)
        if extension is None:
            return _refused("UnknownExtensionIdentifier", f"Unknown extension {event.extension_id}")
        if extension.state is not ExtensionState.EXIT_ERROR:
            extension.state = ExtensionState.EXIT_ERROR
            extension.error_type = event.error_type
        return Accepted()

    def subscribe(self, event: TelemetrySubscribe) -> Reply:
        """A telemetry subscription: only while extensions may still register (AWS: "during the initialization phase")."""
        extension = self.find(event.extension_id)
        if extension is None:
            return _refused("UnknownExtensionIdentifier", f"Unknown extension {event.extension_id}")
        if extension.state not in (ExtensionState.STARTED, ExtensionState.REGISTERED):
            api = "Telemetry" if event.subscription.api == "telemetry" else "Logs"
            return Refused(status=403, error_type=f"{api}.SubscriptionClosed", message=f"{api} API subscription is closed already")
        return Subscribed()

    def hung_up(self, exchange: int) -> bool:
        """A waiting poll's connection closed."""
        for extension in self:
            if extension.exchange == exchange:
                extension.exchange = None
                return True
        return False
