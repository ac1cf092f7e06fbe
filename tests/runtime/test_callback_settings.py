"""What callbacks need is built at the start: a wrong setting is refused, not found out later."""

import resource
import ssl
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from kernel.config.settings import load
from kernel.errors import ConfigurationError
from kernel.handlers import Handlers
from kernel.runtime import startup
from kernel.runtime.kernel import Kernel
from kernel.transport.client import Request
from kernel.views.app import create_app
from tests.support.proxy import ConnectProxy
from tests.support.receiver import Receiver, authority

MakeKernel = Callable[..., Kernel]


def test_nothing_is_refused_when_a_callback_could_be_sent(
    make_kernel: MakeKernel, sqlite_url: str, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    authority().cert_pem.write_to_path(str(ca_file))
    startup.check_callbacks(make_kernel(sqlite_url, callback_ca_file=ca_file))


@pytest.mark.parametrize("content", ["", "not PEM", "der"])
def test_start_is_refused_when_the_ca_file_is_not_pem(
    make_kernel: MakeKernel, sqlite_url: str, tmp_path: Path, content: str
) -> None:
    ca_file, pem = tmp_path / "ca.crt", authority().cert_pem.bytes().decode()
    ca_file.write_bytes(ssl.PEM_cert_to_DER_cert(pem) if content == "der" else content.encode())
    kernel = make_kernel(sqlite_url, callback_ca_file=ca_file)
    with pytest.raises(ConfigurationError) as caught:
        startup.check(kernel)
    assert f"KERNEL_CALLBACK_CA_FILE: {ca_file} holds no certificate" in caught.value.message
    assert f"openssl x509 -inform der -in {ca_file}" in caught.value.message


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("callback_allow_hosts", "*.example.com", "like tickets.example.com"),
        ("callback_allow_hosts", "https://tickets", "like tickets.example.com"),
        ("callback_allow_nets", "127.0.0.0/8", "name single addresses"),
    ],
)
def test_api_is_refused_when_it_could_not_judge_an_address(
    make_kernel: MakeKernel, sqlite_url: str, setting: str, value: str, said: str
) -> None:
    kernel = make_kernel(sqlite_url, **{setting: [value]})
    with pytest.raises(ConfigurationError) as caught:
        create_app(kernel)
    assert caught.value.message.startswith(f"KERNEL_{setting.upper()}: {value!r}")
    assert said in caught.value.message


def test_start_is_refused_without_a_word_of_the_proxys_password(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url, callback_proxy="https://kernel:s3cret@proxy:3128")
    with pytest.raises(ConfigurationError) as caught:
        startup.check_callbacks(kernel)
    assert caught.value.message.startswith("KERNEL_CALLBACK_PROXY: write it as http://host:port")
    assert "s3cret" not in f"{caught.value!r} {kernel.settings!r}"


def test_callbacks_go_through_the_proxy_of_the_settings() -> None:
    with Receiver() as receiver, ConnectProxy(credentials="kernel:s3cret") as proxy:
        settings = load(callback_proxy=proxy.url, callback_allow_nets=["127.0.0.1/32"])
        with closing(Kernel(settings, Handlers())) as kernel:
            answer = kernel.transport.send(Request(receiver.url, {}), kernel.callback_policy)
        assert (answer.status, proxy.asked) == (200, [f"127.0.0.1:{receiver.port}"])


def test_limit_of_descriptors_is_raised_at_the_start() -> None:
    program = """
import resource, sys
from kernel.transport.connecting.descriptors import kept_share, raise_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (128, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
before = kept_share()
print(before, raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0], kept_share())
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    before, raised, soft, after = map(int, done.stdout.split())
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    assert (before, raised, soft, after) == (32, most, most, most // 4)
