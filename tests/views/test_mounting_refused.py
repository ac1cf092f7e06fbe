"""What kernel cannot be mounted in, or below, and what to write instead."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from kernel import Kernel, init_app
from kernel.errors import ConfigurationError


@pytest.mark.parametrize("prefix", ["kernel", "//kernel", "/a//b", "https://shop.example/kernel"])
def test_prefix_that_begins_no_path_is_refused(
    make_kernel: Callable[..., Kernel], sqlite_url: str, prefix: str
) -> None:
    host = Flask("shop")
    with pytest.raises(ConfigurationError, match="the beginning of a path, such as /kernel"):
        init_app(host, make_kernel(sqlite_url), url_prefix=prefix)
    assert list(host.blueprints) == []


@pytest.mark.parametrize("prefix", ["/kernel", "/a/b/", "/", ""])
def test_prefix_that_begins_a_path_is_taken(
    make_kernel: Callable[..., Kernel], sqlite_url: str, prefix: str
) -> None:
    host = Flask("shop")
    init_app(host, make_kernel(sqlite_url), url_prefix=prefix)
    assert host.test_client().get(f"{prefix.rstrip('/')}/healthz").status_code == 200


@pytest.mark.parametrize("given", [lambda: Flask("shop"), None, "wsgi:app"])
def test_what_is_no_application_is_refused(
    make_kernel: Callable[..., Kernel], sqlite_url: str, given: Any
) -> None:
    with pytest.raises(ConfigurationError, match=r"init_app\(create_app\(\), url_prefix"):
        init_app(given, make_kernel(sqlite_url))
