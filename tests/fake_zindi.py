"""A local server that behaves as the data service does, with faults that a test can request.

    with Service(files={"train.csv": b"image,target\\n"}, joined=True) as service:
        service.faults.append(Fault("files/train.csv", cut(5)))
        ...  # a client talks to service.url
        assert service.requests[0].headers["auth-token"] == service.token

What is known about the real service comes from other clients. Where they leave a question open
(is a body wrapped in `data`, which form do errors have), Service has a switch.
"""

import csv
import gzip
import hashlib
import json
import math
import random
import re
import socket
import string
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, unquote

ALREADY = "Great news! You've already joined the competition"
SECRET = "This competition requires a secret code to join."
HTML = b"<!DOCTYPE html><html><head><title>Sorry</title></head><body>Sorry</body></html>"


def letters(count: int) -> str:
    """Return random letters and digits, of which the service's tokens and identifiers consist."""
    return "".join(random.choices(string.ascii_letters + string.digits, k=count))


@dataclass
class Part:
    """Return a field of a form."""

    content: bytes
    filename: str | None = None
    content_type: str | None = None


@dataclass
class Request:
    """What a client sent (header names in lower case), and how much of a body was sent back."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    bytes_sent: int = 0

    def form(self) -> dict[str, Part]:
        """The fields of the form in the body, by name."""
        kind = self.headers.get("content-type", "")
        if kind.startswith("application/x-www-form-urlencoded"):
            pairs = parse_qsl(self.body.decode(), keep_blank_values=True)
            return {name: Part(value.encode()) for name, value in pairs}
        found = re.match(r'multipart/form-data;.*boundary="?([^";]+)', kind)
        pieces = (b"\r\n" + self.body).split(b"\r\n--" + found[1].encode())[1:-1] if found else []
        return dict(map(read_part, pieces))

    def tokens(self) -> set[str | None]:
        """The values in the places where the service looks for a token."""
        form = self.form().get("auth_token")
        sent = {self.headers.get(name) for name in ("auth-token", "auth_token", "token")}
        return sent | {self.query.get("auth_token"), form.content.decode() if form else None}


def read_part(piece: bytes) -> tuple[str, Part]:
    """A part of a multipart body: its name, and the rest."""
    head, _, content = piece.partition(b"\r\n\r\n")
    named = dict(re.findall(r'\b(name|filename)="([^"]*)"', head.decode()))
    kind = re.search(r"(?i)\ncontent-type: *([^\r\n]*)", head.decode())
    return named["name"], Part(content, named.get("filename"), kind[1] if kind else None)


@dataclass
class Reply:
    """A response; Content-Length is one of its headers."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.headers = {"Content-Length": str(len(self.body))} | self.headers


@dataclass
class Submission:
    """An uploaded submission, and its result."""

    filename: str | None
    content_type: str | None
    content: bytes
    comment: str | None
    id: str = field(default_factory=lambda: letters(8))
    created_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    polls: int = 0
    status: Literal["initial", "successful", "failed"] = "initial"
    public_score: str | None = None
    status_description: str | None = None


UNTOLD = {"content", "content_type", "polls"}


# What can go wrong ---------------------------------------------------------------------------


@dataclass
class Fault:
    """A fault of the next `times` requests whose path contains `match`.

    The first one of a service's list that meets a request is played, and no other.
    """

    match: str  # a regular expression, so a piece of a path too
    kind: Callable[["Talk"], None]
    times: float = 1
    method: str | None = None

    def meets(self, request: Request) -> bool:
        return self.method in {None, request.method} and bool(re.search(self.match, request.path))


def kind(play: Callable[..., None]) -> Callable[..., Callable[["Talk"], None]]:
    """Make `cut(5)` return a function that calls `cut(talk, 5)` once the fault occurs."""

    @wraps(play)
    def order(*args: Any, **options: Any) -> Callable[["Talk"], None]:
        return lambda talk: play(talk, *args, **options)

    return order


@kind
def status(
    talk: "Talk",
    code: int,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    acts: bool = False,
) -> None:
    """Answer with a status; if it `acts`, the request is carried out all the same."""
    if acts:
        talk.act()
    talk.send(Reply(code, body, headers or {}))


@kind
def html(talk: "Talk", code: int = 200) -> None:
    """Answer with an HTML page."""
    talk.send(Reply(code, HTML, {"Content-Type": "text/html; charset=utf-8"}))


@kind
def redirect(talk: "Talk", to: str, code: int = 302) -> None:
    """Redirect the client; `{path}` stands for the requested path."""
    talk.send(Reply(code, headers={"Location": to.replace("{path}", talk.path)}))


@kind
def refuse(talk: "Talk", reset: bool = False) -> None:
    """Close the connection without an answer, and without acting on the request."""
    talk.hang_up(reset)


@kind
def garbage(talk: "Talk", content: bytes = b"\x15\x03\x01 what?\r\n\r\n") -> None:
    """Answer with bytes that are not HTTP."""
    talk.write(content)
    talk.hang_up()


@kind
def cut(talk: "Talk", after_bytes: int, reset: bool = True) -> None:
    """Send the headers and a number of bytes of the body, then reset or close the connection."""
    reply = talk.act()
    talk.head(reply)
    talk.write(reply.body[:after_bytes])
    talk.hang_up(reset)


@kind
def wrong_length(talk: "Talk", delta: int) -> None:
    """Send a Content-Length that is larger than the body by `delta`."""
    reply = talk.act()
    reply.headers["Content-Length"] = str(len(reply.body) + delta)
    talk.send(reply)
    talk.hang_up()


@kind
def no_length(talk: "Talk", chunked: bool = True, after_bytes: int | None = None) -> None:
    """Send the body in chunks, or until the connection is closed; maybe cut short."""
    reply = talk.act()
    del reply.headers["Content-Length"]
    reply.headers |= {"Transfer-Encoding": "chunked"} if chunked else {"Connection": "close"}
    talk.head(reply)
    talk.write(reply.body[:after_bytes], chunked=chunked)
    if after_bytes is not None:
        talk.hang_up()
    elif chunked:
        talk.wfile.write(b"0\r\n\r\n")


@kind
def slow(talk: "Talk", rate: int | None = None, before: float = 0, middle: float = 0) -> None:
    """Send at most `rate` bytes per second, with pauses before the headers or half-way."""
    reply = talk.act()
    talk.pause(before)
    talk.head(reply)
    half = len(reply.body) // 2
    talk.write(reply.body[:half], rate)
    talk.pause(middle)
    talk.write(reply.body[half:], rate)


@kind
def corrupt(talk: "Talk", at: int = 0) -> None:
    """Change one byte of the body; the length is right."""
    reply = talk.act()
    body = bytearray(reply.body)
    body[at] ^= 1
    talk.send(Reply(reply.status, bytes(body), reply.headers))


@kind
def bad_range(talk: "Talk", content_range: str | None = "bytes 0-0/1") -> None:
    """Answer 206 with this Content-Range, or without one, whatever was requested."""
    reply = talk.act()
    headers = reply.headers | {"Content-Range": content_range or ""}
    talk.send(Reply(206, reply.body, {name: text for name, text in headers.items() if text}))


@kind
def changed(talk: "Talk", content: bytes) -> None:
    """Change the content of the file, and its ETag, from this request on."""
    talk.service.files[talk.asked.path.rpartition("/")[2]] = content
    talk.send(talk.act())


@kind
def gzipped(talk: "Talk") -> None:
    """Compress the body, if the client accepts that."""
    reply = talk.act()
    if "gzip" in talk.asked.headers.get("accept-encoding", ""):
        reply.headers.pop("Content-Length")
        headers = reply.headers | {"Content-Encoding": "gzip"}
        reply = Reply(reply.status, gzip.compress(reply.body), headers)
    talk.send(reply)


# The server ----------------------------------------------------------------------------------


class Talk(BaseHTTPRequestHandler):
    """A connection with requests and replies, one after another."""

    protocol_version = "HTTP/1.1"
    timeout = 10
    disable_nagle_algorithm = True
    server: "Server"
    asked: Request

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def converse(self) -> None:
        """Record a request, and answer it or perform the fault for it."""
        self.service = self.server.service
        path, _, query = self.path.partition("?")
        self.asked = Request(
            self.command,
            unquote(path),
            dict(parse_qsl(query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()},
            self.read_body(),
        )
        fault = self.service.note(self.asked)
        if fault:
            fault.kind(self)
        else:
            self.send(self.act())

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = converse  # noqa: N815

    def read_body(self) -> bytes:
        """Return the body of the request, sent in chunks or not."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline() or b"0", 16):
                body += self.rfile.read(size + 2)[:-2]
            whole = self.rfile.readline() == b"\r\n"
        else:
            size = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(size)
            whole = len(body) == size
        if not whole:
            raise ConnectionAbortedError
        return body

    def act(self) -> Reply:
        """Act on the request, and return the reply."""
        with self.service.lock:
            return self.service.answer(self.asked)

    def send(self, reply: Reply) -> None:
        """Send the whole of a reply."""
        self.head(reply)
        self.write(b"" if self.command == "HEAD" else reply.body)

    def head(self, reply: Reply) -> None:
        """Send the status and the headers."""
        self.send_response(reply.status)
        for name, text in reply.headers.items():
            self.send_header(name, text)
        self.end_headers()

    def write(self, content: bytes, rate: int | None = None, chunked: bool = False) -> None:
        """Send bytes of the body."""
        step = 1 << 16 if rate is None else max(1, rate // 20)
        for at in range(0, len(content), step):
            piece = content[at : at + step]
            self.pause(len(piece) / rate if rate else 0)
            self.asked.bytes_sent += len(piece)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)

    def pause(self, seconds: float) -> None:
        """Wait, unless the service closes."""
        if seconds and self.service.closing.wait(seconds):
            raise ConnectionAbortedError

    def hang_up(self, reset: bool = False) -> None:
        """Close the connection."""
        self.close_connection = True
        if reset:
            self.drain()
            linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            socket.close(self.connection.detach())

    def drain(self) -> None:
        """Wait until everything has arrived, as a reset would discard the rest."""
        if sys.platform != "linux":
            self.pause(0.1)
            return
        from fcntl import ioctl
        from termios import TIOCOUTQ

        until = time.monotonic() + 2
        while ioctl(self.connection, TIOCOUTQ, bytes(4)) != bytes(4) and time.monotonic() < until:
            self.pause(0.001)


class Server(ThreadingTCPServer):
    """A server whose threads are not waited for, and whose connections can be closed at once."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, service: "Service") -> None:
        self.service = service
        self.open: set[socket.socket] = set()
        self.bugs: list[BaseException] = []
        super().__init__(("127.0.0.1", 0), Talk)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.open.discard(request)

    def handle_error(self, *_: object) -> None:
        """Record an error of this file; a client that disconnects is not an error."""
        error = sys.exception()
        if error and not isinstance(error, OSError):
            self.bugs.append(error)

    def stop(self) -> None:
        """Accept no more connections, and close the open ones."""
        self.shutdown()
        self.server_close()
        until = time.monotonic() + 0.5
        while self.open and time.monotonic() < until:
            for connection in list(self.open):
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            time.sleep(0.005)


# The service ---------------------------------------------------------------------------------

Method = Callable[..., Reply]
ROUTES: list[tuple[tuple[str, ...], str, bool, Method]] = []


def route(*verbs: str, path: str, public: bool = False) -> Callable[[Method], Method]:
    """Let a method of Service answer these requests; `~` stands for a competition."""

    def keep(method: Method) -> Method:
        ROUTES.append(
            (verbs, path.replace("~", "/v1/competitions/(?P<slug>[^/]+)"), public, method)
        )
        return method

    return keep


def rivals() -> list[dict[str, Any]]:
    """Return other rows of a leaderboard: a user, a team, and a user without a score."""
    return [
        standing("0.011000123456789012", 12, user={"username": "grace"}),
        standing("0.35", 3, team={"title": "Masked", "id": "tEAm1"}),
        standing(None, 0, user={"username": "linus"}),
    ]


def standing(score: str | None, count: int, **who: dict[str, str]) -> dict[str, Any]:
    """Return a row of a leaderboard without a rank."""
    when = score and datetime.now(UTC).isoformat()
    row = {"best_public_score": score, "best_public_submitted_at": when}
    return {**who, **row, "submission_count": count}


@dataclass
class Service:
    """The data service: its content, what was sent to it, and how it answers."""

    files: dict[str, bytes] = field(default_factory=dict)
    joined: bool = False
    secret_code: str | None = None
    faults: list[Fault] = field(default_factory=list)
    slug: str = "spot-the-mask-challenge"
    username: str = "ada"
    password: str = "s3cret pässword"
    token: str = field(default_factory=lambda: letters(24))
    # What the clients of the real service leave open.
    wrapped: bool = True  # is what is not an error in {"data": …} too?
    errors: Literal["message", "base", "string", "list"] = "message"
    error_status: int = 200  # of a refusal that has no status of its own
    already: str = ALREADY  # or "already in"
    public_leaderboard: bool = True
    ranges: bool = True
    etags: bool = True
    # Submissions.
    limit_today: int = 5
    polls_until_scored: int = 2
    failing_submission: str | None = None  # why every submission fails
    truth: dict[str, int] | None = None  # what the file is scored against, by image
    closed: bool = False  # do rows have private scores?
    rivals: list[dict[str, Any]] = field(default_factory=rivals)
    # What happened.
    requests: list[Request] = field(default_factory=list)
    submissions: list[Submission] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self.server = Server(self)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self.server.bugs and error is None:
            raise self.server.bugs[0]

    def close(self) -> None:
        """Stop; connections are refused from now on."""
        self.closing.set()
        self.server.stop()

    def note(self, request: Request) -> Fault | None:
        """Record a request, and return the fault for it."""
        with self.lock:
            self.requests.append(request)
            fault = next((fault for fault in self.faults if fault.meets(request)), None)
            if fault:
                fault.times -= 1
                self.faults[:] = [fault for fault in self.faults if fault.times > 0]
            return fault

    def answer(self, request: Request) -> Reply:
        """Let the method for a request answer it."""
        allowed: list[str] = []
        for verbs, pattern, public, method in ROUTES:
            found = re.fullmatch(pattern, request.path)
            allowed += verbs if found else ()
            if not found or request.method not in verbs:
                continue
            if not public and self.token not in request.tokens():
                return self.unknown_user()
            names = found.groupdict()
            if names.pop("slug", self.slug) != self.slug:
                return self.refuse("Competition not found", 404)
            return method(self, request, **names)
        if allowed:
            return Reply(405, headers={"Allow": ", ".join(allowed)})
        return Reply(404, HTML, {"Content-Type": "text/html"})

    def reply(self, data: Any, code: int = 200, *, bare: bool = False, **more: Any) -> Reply:
        """Reply with JSON."""
        text = json.dumps(data if bare else {"data": data} | more)
        return Reply(code, text.encode(), {"Content-Type": "application/json; charset=utf-8"})

    def ok(self, data: Any) -> Reply:
        """Reply with JSON, wrapped in `data` or not."""
        return self.reply(data, bare=not self.wrapped)

    def unknown_user(self) -> Reply:
        return Reply(401, b"not authorized", {"Content-Type": "text/plain"})

    def refuse(self, why: str, code: int | None = None) -> Reply:
        """Reply with an error of the chosen form."""
        shapes = {"message": {"message": why}, "base": {"base": why}, "string": why, "list": [why]}
        return self.reply({"errors": shapes[self.errors]}, code or self.error_status)

    @route("POST", path="/v1/auth/signin", public=True)
    def signin(self, request: Request) -> Reply:
        sent = {name: part.content.decode() for name, part in request.form().items()}
        if (sent.get("username"), sent.get("password")) != (self.username, self.password):
            return self.reply({"errors": {"message": "Wrong username or password"}})
        return self.reply({"auth_token": self.token, "user": {"username": self.username}})

    @route("GET", path="/v1/competitions", public=True)
    def competitions(self, request: Request) -> Reply:
        slugs = (self.slug, "spot-the-mask", "spot-the-mask-challenge-cmu-edition")
        found = [{"id": slug} for slug in slugs if request.query.get("query", "") in slug]
        counts = {"total_count": len(found), "open_count": len(found), "closed_count": 0}
        return self.reply(page_of(found, request), meta=counts)

    @route("GET", path="~", public=True)
    def competition(self, request: Request) -> Reply:
        files = [{"filename": name, "id": f"file{at}"} for at, name in enumerate(self.files)]
        about = {
            "id": self.slug,
            "title": "Spot the Mask Challenge",
            "datafiles": files + files[:1],  # as it happens there too
            "pages": [{"title": "Rules", "content_html": "<p>Be <b>fair</b> &amp; kind.</p>"}],
            "secret_code_required": self.secret_code is not None,
        }
        return self.ok(about)

    @route("POST", path="~/participations")
    def join(self, request: Request) -> Reply:
        if self.joined:
            return self.refuse(self.already)
        if self.secret_code not in {None, request.query.get("secret_code")}:
            return self.refuse(SECRET)
        self.joined = True
        return self.ok({"ids": [letters(8)]})

    @route("GET", path="~/participations", public=True)
    def ranking(self, request: Request) -> Reply:
        if not self.public_leaderboard and self.token not in request.tokens():
            return self.unknown_user()
        return self.ok(page_of(self.ranked(), request))

    @route("GET", path="~/participations/my_participation")
    def mine(self, request: Request) -> Reply:
        mine = {"username": self.username}
        found = [row for row in self.ranked() if row.get("user") == mine]
        if not found:
            return self.refuse("You have not joined this competition")
        return self.ok(found[0])

    def ranked(self) -> list[dict[str, Any]]:
        """Answer with the leaderboard; rows without a score come last and have no rank."""
        scores = [one.public_score for one in self.submissions if one.public_score]
        best = min(scores, key=float, default=None)
        mine = standing(best, len(self.submissions), user={"username": self.username})
        rows = [dict(row) for row in self.rivals] + [mine] * self.joined
        rows.sort(key=lambda row: float(row["best_public_score"] or "inf"))
        for rank, row in enumerate(rows, 1):
            row["public_rank"] = rank if row["best_public_score"] else None
            if self.closed:
                row["private_rank"] = row["public_rank"]
                row["best_private_score"] = row["best_public_score"]
        return rows

    @route("GET", "POST", path="~/files/(?P<name>[^/]+)")
    def download(self, request: Request, name: str) -> Reply:
        if not self.joined:
            return self.refuse("You must join the competition to download its data")
        return self.stored(request, name)

    @route("GET", path="/storage/(?P<name>[^/]+)", public=True)
    def stored(self, request: Request, name: str) -> Reply:
        """Answer with a file, or a range of it; redirections may lead to /storage."""
        if name not in self.files:
            return self.refuse("File not found", 404)
        content = self.files[name]
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        headers = {"Content-Type": "application/octet-stream"}
        headers |= {"ETag": tag} if self.etags else {}
        if not self.ranges:
            return Reply(200, content, headers)
        headers["Accept-Ranges"] = "bytes"
        asked = span(request.headers.get("range", ""), len(content))
        if asked is None or request.headers.get("if-range", tag) != tag:
            return Reply(200, content, headers)
        if not asked:
            return Reply(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        headers["Content-Range"] = f"bytes {asked.start}-{asked.stop - 1}/{len(content)}"
        return Reply(206, content[asked.start : asked.stop], headers)

    @route("GET", path="~/submissions/limits")
    def limits(self, _: Request) -> Reply:
        return self.ok({"today": self.left_today()})

    def left_today(self) -> int:
        """Return how many more submissions are accepted; failed ones do not count."""
        return self.limit_today - sum(one.status != "failed" for one in self.submissions)

    @route("POST", path="~/submissions")
    def submit(self, request: Request) -> Reply:
        form = request.form()
        if not self.joined:
            return self.refuse("You must join the competition to submit")
        if "file" not in form or form["file"].filename is None:
            return self.refuse("File can't be blank")
        if self.left_today() < 1:
            return self.refuse("You have reached the limit of submissions for today")
        comment = form["comment"].content.decode() if "comment" in form else None
        file = form["file"]
        self.submissions.append(Submission(file.filename, file.content_type, file.content, comment))
        return self.ok({"id": self.submissions[-1].id})

    @route("GET", path="~/submissions")
    def submitted(self, request: Request) -> Reply:
        """Answer with the submissions, newest first; one is scored after a number of requests."""
        for one in self.submissions:
            one.polls += 1
            if one.status == "initial" and one.polls > self.polls_until_scored:
                self.judge(one)
        return self.ok(page_of([self.row(one) for one in self.submissions[::-1]], request))

    def row(self, one: Submission) -> dict[str, Any]:
        """Return the answer about a submission."""
        told = {name: value for name, value in vars(one).items() if name not in UNTOLD}
        return told | {"private_score": one.public_score if self.closed else None}

    def judge(self, one: Submission) -> None:
        """Score a submission, or fail it."""
        try:
            if self.failing_submission:
                raise ValueError(self.failing_submission)
            one.public_score = self.score(one.content)
            one.status = "successful"
        except ValueError as why:
            one.status, one.status_description = "failed", str(why)

    def score(self, content: bytes) -> str:
        """Return the log loss against `truth`, if there is one; ValueError says what is wrong."""
        if self.truth is None:
            return "0.023456789012345678"
        _, *rows = csv.reader(content.decode().splitlines())
        said = {name: float(text) for name, text in rows}
        missing = sorted(self.truth.keys() - said.keys())
        if missing:
            raise ValueError(f"Missing entries for IDs {', '.join(missing)}")
        right = [said[name] if is_one else 1 - said[name] for name, is_one in self.truth.items()]
        return f"{-sum(math.log(max(p, 1e-15)) for p in right) / len(right):.18f}"


def page_of(rows: list[Any], request: Request) -> list[Any]:
    """Return the number of the requested page; the first is 0."""
    size = int(request.query.get("per_page", 20))
    start = int(request.query.get("page", 0)) * size
    return rows[start : start + size]


def span(asked: str, size: int) -> range | None:
    """Return the bytes that a Range requests, or None if it is invalid."""
    found = re.fullmatch(r"bytes=(?=.*\d)(\d*)-(\d*)", asked)
    if not found:
        return None
    first, last = found.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    return range(int(first), min(int(last) + 1 if last else size, size))
