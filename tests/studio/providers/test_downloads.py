"""Downloads of what services have made: where they may lead, how much they may bring, and what comes of one that fails.

Names lead to addresses of the test's choice, and every connection to a server of its own.
"""

from __future__ import annotations

import datetime as dt
import gzip
import ipaddress
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from studio.errors import NotNow
from studio.providers import downloads
from studio.providers.downloads import Downloads
from tests.studio.providers.asking import outcome

PUBLIC = "93.184.215.14"
PUBLIC_6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
NODE = "10.0.0.7"
HOME = "https://node.example:8443/base"
CLIP = b"the clip " * 10_000
DRIPS = 500
"""More of them than a download has time for, and not so many that a test without a limit would never end."""

Act = Callable[[socket.socket], None]


def reply(status: int, body: bytes = b"", *headers: str, length: int | None = None) -> Act:
    """Answer with a body and end. `length` is what the answer claims."""

    def act(line: socket.socket) -> None:
        claimed = [f"Content-Length: {len(body) if length is None else length}"] if length != -1 else []
        head = "\r\n".join([f"HTTP/1.1 {status} Told", *headers, *claimed, "Connection: close", "", ""])
        line.sendall(head.encode() + body)

    return act


def moved(to: str, status: int = 302) -> Act:
    return reply(status, b"", f"Location: {to}")


class Site(socketserver.ThreadingTCPServer):
    """A server that speaks TLS, or plain HTTP where it is asked to without."""

    block_on_close = True
    request_queue_size = 32

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.tls = tls
        self.pages: dict[str, Act] = {"/clip": reply(200, CLIP)}
        self.heads: list[str] = []
        """Of the requests."""
        self.stopped = threading.Event()

    def finish_request(self, request: Any, client_address: Any) -> None:
        with suppress(OSError):
            if request.recv(1, socket.MSG_PEEK) == b"\x16":
                request = self.tls.wrap_socket(request, server_side=True)
            head = b""
            while b"\r\n\r\n" not in head:
                head += request.recv(65536) or b"\r\n\r\n"
            self.heads.append(head.decode())
            path = head.split(b" ")[1].decode()
            self.pages.get(path, reply(404))(request)
        with suppress(OSError):
            request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever goes away in the middle is what these tests are about."""

    def drip(self, line: socket.socket, first: bytes, drop: bytes) -> None:
        """A drop at a time, each of them well before anybody would call it silence, until the other side has gone."""
        line.sendall(first)
        for _ in range(DRIPS):
            line.sendall(drop)
            self.stopped.wait(0.02)


class World:
    """Names and where they lead, and where connections went."""

    def __init__(self, site: Site, patch: pytest.MonkeyPatch) -> None:
        self.site = site
        self.names = {
            "clips.example": [PUBLIC],
            "node.example": [NODE],
            "localhost": ["127.0.0.1", "::1"],
            "127.0.0.1.": ["127.0.0.1"],
        }
        self.asked: list[str] = []
        """The names that were resolved."""
        self.reached: list[str] = []
        """The addresses that were dialled."""
        self.dead: set[str] = set()
        """Those of them where nobody is."""
        self._resolve, self._dial = socket.getaddrinfo, socket.create_connection
        patch.setattr(socket, "getaddrinfo", self._look_up)
        patch.setattr(socket, "create_connection", self._connect)

    def _look_up(self, host: str, port: int, **options: Any) -> list[Any]:
        self.asked.append(host)
        if host in self.names:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.names[host]]
        # As an address it may still be read, in all the ways in which the system reads them; nobody is asked for it.
        return self._resolve(host, port, flags=socket.AI_NUMERICHOST, **options)

    def _connect(self, address: tuple[str, int], *arguments: Any, **options: Any) -> socket.socket:
        self.reached.append(address[0])
        if address[0] in self.dead:
            raise ConnectionRefusedError
        line = socket.socket()
        line.connect(self.site.server_address)
        return line


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for the names of these tests, which is its own authority, and its key."""
    folder = tmp_path_factory.mktemp("authority")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test")])
    hosts = [x509.DNSName(host) for host in ("clips.example", "node.example", "more.example")]
    addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in (PUBLIC, PUBLIC_6)]
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([*hosts, *addresses]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder


@pytest.fixture
def site(authority: Path) -> Iterator[Site]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "certificate.pem", authority / "key.pem")
    # Leaving the block waits for every connection to end: one that was left open would hang here.
    with Site(context) as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield site
        site.stopped.set()
        site.shutdown()
        thread.join()


@pytest.fixture
def world(site: Site, authority: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    believing = ssl.create_default_context(cafile=str(authority / "certificate.pem"))
    monkeypatch.setattr(downloads, "tls", lambda: believing)
    return World(site, monkeypatch)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "clip"


def fetched(url: str, target: Path, *, max_bytes: int = 1 << 20) -> object:
    """What a download comes to: what it brought, or the error in a word."""
    return outcome(lambda: Downloads(HOME, max_bytes=max_bytes).fetch(url, target)) or target.read_bytes()


def test_a_clip_comes_home_over_https_from_a_public_address(world: World, target: Path) -> None:
    assert fetched("https://clips.example/clip", target) == CLIP
    assert world.reached == [PUBLIC]


def test_the_request_says_no_more_than_it_has_to(world: World, target: Path) -> None:
    world.site.pages["/a%20clip?sig=%2Fx'&k=1"] = reply(200, CLIP)
    assert fetched("https://clips.example:444/a clip?sig=%2Fx'&k=1#part", target) == CLIP
    (head,) = world.site.heads
    first, *headers = head.strip().split("\r\n")
    assert first == "GET /a%20clip?sig=%2Fx'&k=1 HTTP/1.1"
    assert {line.partition(":")[0].lower() for line in headers} == {"host", "user-agent", "accept", "accept-encoding"}
    assert "Host: clips.example:444" in headers
    assert "Accept-Encoding: identity" in headers


@pytest.mark.parametrize(
    "url", [f"https://{PUBLIC}/clip", f"https://[{PUBLIC_6}]/clip", f"https://[{PUBLIC_6}]:444/clip"]
)
def test_a_public_address_may_stand_in_the_place_of_a_name(world: World, target: Path, url: str) -> None:
    assert fetched(url, target) == CLIP
    assert f"Host: {url.split('/')[2]}" in world.site.heads[0]


# --- where nothing is fetched from

INSIDE = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",  # noqa: S104 (nothing is bound)
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "203.0.113.5",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.1.2.3",
    "::ffff:0:7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2001::7f00:1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:0a01:0203::1",
    "3fff::1",
    "4000::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", INSIDE)
def test_nothing_is_fetched_from_an_address_that_is_not_public(world: World, target: Path, address: str) -> None:
    world.names["clips.example"] = [address]
    assert fetched("https://clips.example/clip", target) == "CLIP_UNREADABLE"
    host = f"[{address}]" if ":" in address else address
    assert fetched(f"https://{host}/clip", target) == "CLIP_UNREADABLE"
    assert not world.reached
    assert not target.exists()


@pytest.mark.parametrize(
    "address", [PUBLIC, "8.8.8.8", "100.63.255.255", "172.32.0.1", PUBLIC_6, "2a00::1", "64:ff9b::5db8:d70e"]
)
def test_what_is_public_is_fetched_from(world: World, target: Path, address: str) -> None:
    world.names["clips.example"] = [address]
    assert fetched("https://clips.example/clip", target) == CLIP
    assert world.reached == [address]


@pytest.mark.parametrize(
    "url",
    [
        "https://2130706433/clip",
        "https://0x7f000001/clip",
        "https://0x7f.1/clip",
        "https://0177.0.0.1/clip",
        "https://127.1/clip",
        "https://0/clip",
        "https://127.0.0.1./clip",
        "https://localhost/clip",
        "https://LOCALHOST/clip",
        "https:///clip",
        "https:/clips.example/clip",
        "https:clips.example/clip",
        # Names that some parsers take for others.
        "https://clips.example@127.0.0.1/clip",
        "https://127.0.0.1@clips.example/clip",
        "https://user:password@clips.example/clip",
        "https://127.0.0.1\\@clips.example/clip",
        "https://127.0.0.1%2f@clips.example/clip",
        "https://①②⑦.⓪.⓪.①/clip",
        "https://clips\u200d.example/clip",
        "https://[::1/clip",
        "https://[v1.x]/clip",
        "https://clips..example/clip",
        f"https://{'a' * 64}.example/clip",
        # What no request may be made of.
        "https://clips.example/clip\r\nX-Injected: 1",
        "https://clips.example/clip\x00",
        "https://clips.example:99999/clip",
        "https://clips.example:0/clip",
        "https://clips.example:-1/clip",
        "https://clips.example:https/clip",
        f"https://clips.example/{'a' * 70_000}",
        # Anything but https.
        "http://clips.example/clip",
        "//clips.example/clip",
        "clips.example/clip",
        "",
        "ftp://clips.example/clip",
        "file:///etc/passwd",
        "data:video/mp4;base64,AAAA",
        "gopher://clips.example/clip",
        "ws://clips.example/clip",
    ],
)
def test_an_address_that_leads_elsewhere_than_it_seems_is_not_followed(world: World, target: Path, url: str) -> None:
    assert fetched(url, target) == "CLIP_UNREADABLE"
    assert not world.reached
    assert not target.exists()


def test_of_a_name_all_addresses_have_to_be_public(world: World, target: Path) -> None:
    world.names["clips.example"] = [PUBLIC, "10.0.0.1"]
    assert fetched("https://clips.example/clip", target) == "CLIP_UNREADABLE"
    assert not world.reached


def test_the_connection_is_made_to_what_was_looked_at(world: World, target: Path) -> None:
    """A name that leads inside when it is resolved a second time is not resolved a second time."""

    def rebound() -> Iterator[str]:
        yield PUBLIC
        while True:
            yield "127.0.0.1"

    addresses = rebound()

    class Rebinding(dict[str, list[str]]):
        def __getitem__(self, name: str) -> list[str]:
            return [next(addresses)]

    world.names = Rebinding(world.names)
    assert fetched("https://clips.example/clip", target) == CLIP
    assert world.reached == [PUBLIC]
    assert world.asked == ["clips.example"]


def test_each_download_looks_anew(world: World, target: Path) -> None:
    brings = Downloads(HOME, max_bytes=1 << 20)
    brings.fetch("https://clips.example/clip", target)
    world.names["clips.example"] = ["127.0.0.1"]
    assert outcome(lambda: brings.fetch("https://clips.example/clip", target)) == "CLIP_UNREADABLE"


def test_where_nobody_is_at_one_address_of_a_name_another_is_tried(world: World, target: Path) -> None:
    world.names["clips.example"] = [PUBLIC_6, PUBLIC]
    world.dead = {PUBLIC_6}
    assert fetched("https://clips.example/clip", target) == CLIP
    assert world.reached == [PUBLIC_6, PUBLIC]


def test_a_name_with_endless_addresses_is_not_tried_without_end(world: World, target: Path) -> None:
    world.names["clips.example"] = [f"8.8.8.{number}" for number in range(50)]
    world.dead = {*world.names["clips.example"]}
    assert fetched("https://clips.example/clip", target) == "away"
    assert len(world.reached) == downloads.MOST_ADDRESSES


def test_a_certificate_of_another_name_is_not_believed(world: World, target: Path) -> None:
    world.names["other.example"] = [PUBLIC]
    assert fetched("https://other.example/clip", target) == "away"
    assert not world.site.heads


def test_no_proxy_of_the_environment_is_asked(world: World, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetched("https://clips.example/clip", target) == CLIP
    assert fetched("https://localhost/clip", target) == "CLIP_UNREADABLE"
    assert world.reached == [PUBLIC]


def test_neither_addresses_nor_names_are_logged(world: World, target: Path) -> None:
    with capture_logs() as logs:
        fetched("https://localhost/secret?sig=1", target)
        fetched("http://clips.example/secret?sig=1", target)
        fetched("https://clips.example/secret?sig=1", target)
    assert {entry.get("reason") for entry in logs} == {"not_public"}
    assert not [word for word in ("localhost", "example", "secret", "sig", "127.") if word in str(logs)]


# --- at home


@pytest.mark.parametrize("path", ["/clip", "/base/../clip"])
def test_the_service_itself_may_stand_in_the_next_room(world: World, target: Path, path: str) -> None:
    assert fetched(f"https://node.example:8443{path}", target) == CLIP


def test_a_service_of_ones_own_may_speak_plain_http(world: World, target: Path) -> None:
    brings = Downloads("http://10.0.0.7:8000", max_bytes=1 << 20)
    brings.fetch("http://10.0.0.7:8000/clip", target)
    assert target.read_bytes() == CLIP


@pytest.mark.parametrize(
    "url",
    [
        "http://node.example:8443/clip",
        "https://node.example/clip",
        "https://node.example:8444/clip",
        "https://node.example.:8443/clip",
        "https://sub.node.example:8443/clip",
        f"https://{NODE}:8443/clip",
        "https://node.example:8443@localhost/clip",
        "https://anybody@node.example:8443/clip",
    ],
)
def test_what_is_not_exactly_home_is_not_at_home(world: World, target: Path, url: str) -> None:
    world.names |= {"sub.node.example": [NODE], "node.example.": [NODE]}
    assert fetched(url, target) == "CLIP_UNREADABLE"
    assert not world.reached


# --- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(world: World, target: Path, status: int) -> None:
    world.names["more.example"] = [PUBLIC]
    world.site.pages |= {"/old": moved("/new", status), "/new": moved("https://more.example/clip", status)}
    assert fetched("https://clips.example/old", target) == CLIP
    assert world.asked == ["clips.example", "clips.example", "more.example"]


@pytest.mark.parametrize("start", ["https://clips.example/old", "https://node.example:8443/old"])
@pytest.mark.parametrize(
    "to",
    [
        "https://localhost/clip",
        "https://127.0.0.1/clip",
        "https://169.254.169.254/latest/meta-data",
        "http://clips.example/clip",
        "//localhost/clip",
        "https://user@clips.example/clip",
        "file:///etc/passwd",
        "https://[::1]/clip",
        "https://[::1/clip",
        "https://node.example/clip",
        "http://node.example:8443/clip",
    ],
)
def test_where_a_redirect_leads_is_looked_at_like_the_first_address(
    world: World, target: Path, start: str, to: str
) -> None:
    world.site.pages["/old"] = moved(to)
    assert fetched(start, target) == "CLIP_UNREADABLE"
    assert len(world.reached) == 1
    assert not target.exists()


def test_home_may_send_on_within_itself_and_to_the_public(world: World, target: Path) -> None:
    world.site.pages |= {"/old": moved("/newer"), "/newer": moved("https://clips.example/clip")}
    assert fetched("https://node.example:8443/old", target) == CLIP
    assert world.reached == ["node.example", "node.example", PUBLIC]


def test_nobody_else_sends_us_home(world: World, target: Path) -> None:
    """What stands in the next room is asked for what it has named itself, and not for what a stranger would have."""
    world.site.pages["/old"] = moved("https://node.example:8443/clip")
    assert fetched("https://clips.example/old", target) == "CLIP_UNREADABLE"
    assert world.reached == [PUBLIC]


def test_redirects_come_to_an_end(world: World, target: Path) -> None:
    world.site.pages["/old"] = moved("/old")
    assert fetched("https://clips.example/old", target) == "CLIP_UNREADABLE"
    assert len(world.site.heads) == downloads.MOST_REDIRECTS + 1


def test_a_redirect_to_nowhere_is_a_fault_of_the_service(world: World, target: Path) -> None:
    world.site.pages["/old"] = reply(302)
    assert fetched("https://clips.example/old", target) == "away"


# --- what it brings


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, "CLIP_GONE") for status in (400, 401, 403, 404, 410, 451)),
        *((status, "away") for status in (204, 206, 304, 408, 425, 429, 500, 502, 503, 504)),
    ],
)
def test_a_status_comes_to(world: World, target: Path, status: int, expected: str) -> None:
    world.site.pages["/clip"] = reply(status)
    assert fetched("https://clips.example/clip", target) == expected
    assert not target.exists()


def test_a_store_that_is_busy_says_when_to_come_again(world: World, target: Path) -> None:
    world.site.pages["/clip"] = reply(503, b"", "Retry-After: 7")
    with pytest.raises(NotNow) as caught:
        Downloads(HOME, max_bytes=1).fetch("https://clips.example/clip", target)
    assert caught.value.retry_after_s == 7


def test_a_clip_may_be_as_large_as_is_allowed(world: World, target: Path) -> None:
    assert fetched("https://clips.example/clip", target, max_bytes=len(CLIP)) == CLIP


def test_a_clip_that_says_that_it_is_too_large_is_not_begun(world: World, target: Path) -> None:
    assert fetched("https://clips.example/clip", target, max_bytes=len(CLIP) - 1) == "CLIP_UNREADABLE"
    assert not target.exists()


def endless(line: socket.socket) -> None:
    line.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        line.sendall(CLIP)


def endless_chunks(line: socket.socket) -> None:
    line.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        line.sendall(b"%x\r\n%b\r\n" % (len(CLIP), CLIP))


@pytest.mark.parametrize("page", [endless, endless_chunks])
def test_a_clip_that_does_not_end_is_left_at_the_limit(world: World, target: Path, page: Act) -> None:
    world.site.pages["/clip"] = page
    assert fetched("https://clips.example/clip", target, max_bytes=1_000_000) == "CLIP_UNREADABLE"
    assert target.stat().st_size <= 1_000_000


def test_nothing_is_unpacked(world: World, target: Path) -> None:
    """A few bytes that unpack to gigabytes stay a few bytes."""
    packed = gzip.compress(bytes(10_000_000))
    world.site.pages["/clip"] = reply(200, packed, "Content-Encoding: gzip")
    assert fetched("https://clips.example/clip", target, max_bytes=100_000) == packed


@pytest.mark.parametrize(
    "page",
    [
        reply(200, CLIP, length=len(CLIP) + 1),
        reply(200, b"1000\r\nabc", "Transfer-Encoding: chunked", length=-1),
        lambda line: line.sendall(b"HTTP/1.1 200 OK\r\nContent-Le"),
        lambda line: line.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        lambda line: line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
        lambda line: line.sendall(b"HTTP/1.1 200 OK\r\nX: " + bytes(200_000)),
        lambda line: line.close(),
    ],
    ids=["too short", "cut in a chunk", "cut in its head", "no HTTP", "two lengths", "an endless head", "nothing"],
)
def test_what_is_cut_off_or_no_answer_at_all_may_come_right(world: World, target: Path, page: Act) -> None:
    world.site.pages["/clip"] = page
    assert fetched("https://clips.example/clip", target) == "away"


def test_a_name_that_nobody_knows_may_come_right(world: World, target: Path) -> None:
    assert fetched("https://unknown.example/clip", target) == "away"


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % DRIPS, b"x"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ],
    ids=["its body", "its head", "what comes before it"],
)
def test_an_answer_that_drips_is_given_up_when_the_time_is_up(
    world: World, target: Path, monkeypatch: pytest.MonkeyPatch, first: bytes, drop: bytes
) -> None:
    monkeypatch.setattr(downloads, "LONGEST_S", 0.5)
    world.site.pages["/clip"] = lambda line: world.site.drip(line, first, drop)
    for start in ("https://clips.example/clip", "https://node.example:8443/clip"):
        with capture_logs() as logs:
            assert fetched(start, target) == "CLIP_UNREADABLE"
        assert [entry["reason"] for entry in logs] == ["too_slow"]


def test_an_answer_that_stands_still_is_away(world: World, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "SILENCE_S", 0.1)
    world.site.pages["/clip"] = lambda line: world.site.drip(line, b"HTTP/1.1 200 OK\r\n\r\n", b"")
    assert fetched("https://clips.example/clip", target) == "away"


def test_all_of_a_downloads_redirects_share_its_time(
    world: World, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10_000, int(downloads.LONGEST_S / 8)))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    world.site.pages["/old"] = moved("/old")
    assert fetched("https://clips.example/old", target) == "CLIP_UNREADABLE"
    assert len(world.site.heads) <= downloads.MOST_REDIRECTS
