"""The arrows between packages: who may import whom."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "middleware": {"gateway", "providers", "fastapi"},
    "providers": {"gateway", "middleware", "starlette", "uvicorn", "fastapi"},
    "gateway": {"tests", "pytest", "fastapi"},
}
LAYERS = {"auth", "body", "coverage", "crash", "edge", "input_guard", "metrics", "rate_limit", "safety"}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_packages_import_only_inward(package: str) -> None:
    """No package imports one that stands further out."""
    found = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in (ROOT / package).rglob("*.py")
        for name in imported(path)
        if name.partition(".")[0] in FORBIDDEN[package]
    }
    assert found == set()


@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_layers_do_not_import_one_another(layer: str) -> None:
    """A layer can be read, tested and mounted without its neighbours."""
    names = {name for name in imported(ROOT / "middleware" / f"{layer}.py") if name.startswith("middleware.")}
    assert {name for name in names if name.removeprefix("middleware.") in LAYERS} == set()


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_packages_have_no_code_in_init(package: str) -> None:
    """A name has one home: nothing is defined or re-exported in `__init__.py`."""
    assert {path for path in (ROOT / package).rglob("__init__.py") if path.read_text("utf-8").strip()} == set()


def test_only_the_client_module_opens_connections() -> None:
    """There is one way out to the providers."""
    users = {
        path.relative_to(ROOT).as_posix()
        for package in FORBIDDEN
        for path in (ROOT / package).rglob("*.py")
        for name in imported(path)
        if name.partition(".")[0] in {"aiohttp", "httpx", "requests", "urllib3"}
    }
    assert users == {"providers/client.py", "gateway/bench/passthrough.py"}
