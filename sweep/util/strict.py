"""What all models of a search space file share, and how a file names one of several."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from ptxcore.hints import did_you_mean
from sweep.errors import SpaceError


class Strict(BaseModel):
    """Refuses unknown keys, bends no types, never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Problem(ValueError):
    """Something wrong at one key of the model that raises it."""

    def __init__(self, key: str, found: object, expected: str) -> None:
        super().__init__(f"found {found!r}, expected {expected}")
        self.key = key


class UnknownName(Problem):
    """A key `name` under which there is nothing."""

    def __init__(self, found: object, known: Collection[str]) -> None:
        ValueError.__init__(self, f"found {found!r}, {did_you_mean(str(found), known)}")
        self.key = "name"


class Named(Strict):
    """A model that a file chooses by its `name`.

    To define a subclass is to make it known: its field `name` is a literal with the name. One
    without a literal `name` is the base of others. Each direct subclass begins a family of its own.

    Attributes:
        name: Name, as files write it.
        aliases: Older names, which files and ledgers may still hold.
        known: The family by name.
    """

    name: str
    aliases: ClassVar[tuple[str, ...]] = ()
    known: ClassVar[dict[str, type[Any]]]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Enter the family.

        Raises:
            TypeError: Another one has the name.
        """
        super().__pydantic_init_subclass__(**kwargs)
        if Named in cls.__bases__:
            cls.known = {}
        name = cls.kind()
        if name in cls.known:
            raise TypeError(f"{cls.__name__}: {name!r} is {cls.known[name].__name__} already")
        if name:
            cls.known[name] = cls

    @classmethod
    def kind(cls) -> str:
        """The literal of `name`, empty of a base."""
        return str(next(iter(get_args(cls.model_fields["name"].annotation)), ""))


NamedModel = TypeVar("NamedModel", bound=Named)


def find(family: type[NamedModel], name: object) -> type[NamedModel]:
    """The model of a name or of an older one.

    Raises:
        UnknownName: There is none.
    """
    for own, model in family.known.items():
        if name == own or name in model.aliases:
            found: type[NamedModel] = model
            return found
    raise UnknownName(name, family.known)


def choose(family: type[NamedModel], data: Any, default: str | None = None) -> NamedModel:
    """The model that a file's mapping names, for pydantic.

    Args:
        family: Base of the models.
        data: Content, as read.
        default: Name where the mapping has none.

    Raises:
        UnknownName: There is none of the name, or no name.
        ValueError: Something else than a mapping (of pydantic), or its values are refused.
    """
    if not isinstance(data, Mapping):
        raise PydanticCustomError("mapping", "Input should be a mapping")
    model = find(family, data.get("name", default))
    return model.model_validate({**data, "name": model.kind()})


def chosen_by_hand(family: type[NamedModel], what: str, data: Mapping[str, Any]) -> NamedModel:
    """What `choose` does, for a mapping that comes from no file: problems name no line.

    Args:
        family: Base of the models.
        what: What its members are, for messages.
        data: Content, `name` included.

    Raises:
        SpaceError: There is none of the name, or an argument is missing, unknown or out of range.
    """
    try:
        return choose(family, data)
    except ValidationError as error:
        known = find(family, data["name"]).model_fields
        told = (f"{what} {data['name']}: {_told(one, known)}" for one in error.errors())
        raise SpaceError("\n".join(told)) from error
    except Problem as error:
        raise SpaceError(f"{what}: {error}") from error


def _told(error: ErrorDetails, known: Collection[str]) -> str:
    problem = error.get("ctx", {}).get("error")
    if isinstance(problem, Problem):
        return f"{problem.key}: {problem}"
    if error["type"] == "extra_forbidden":
        key = str(error["loc"][-1])
        return f"{key}: found an unknown key, {did_you_mean(key, known)}"
    return f"{'.'.join(map(str, error['loc'])) or 'arguments'}: {error['msg']}"


def import_all(package: str) -> None:
    """Import every module of a package, so that a file in it is enough to be known."""
    for module in iter_modules(import_module(package).__path__):
        import_module(f"{package}.{module.name}")
