"""Check that the server survives thousands of requests that are wrong on purpose.

    python benchmarks/serve_fuzz.py [--requests 10000] [--seed 0] [--clients 16] [-m fast]

Sends bytes that are not HTTP, damaged headers, bodies that are damaged or have the wrong length,
damaged images of every format, lists and forms with unusual parts, and plays clients that stop,
send slowly or do not read. Prints the number of answers by status. The exit code is 1 after an
answer with 5xx, after any line in the server's log (except libtiff's own about damaged TIFFs),
if the server ends, or if it does not score a photo bit for bit as before. The same seed gives
the same requests.
"""

import argparse
import base64
import json
import random
import re
import socket
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from fuzzing import mutant, seeds
from measuring import report, table
from serving import Server, serving

HOST = b"Host: 127.0.0.1\r\n"
LIBTIFF = re.compile(r"\w+: .*\.$")
BROKEN = 500  # the first status that stands for a server error
TOKENS = [
    *(b"\r\n", b"\r", b"\n", b"\0", b":", b" ", b"\t", b"\xff", b"%00", b"../", b"*", b"?", b"#"),
    *(b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: 9999999999999999\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", HOST),
    *(b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"Connection: Upgrade\r\n"),
    *(b"Upgrade: websocket\r\n", b"Upgrade: h2c\r\n", b"Authorization: Bearer \xff\r\n"),
    *(b"Content-Type: multipart/form-data; boundary=\r\n", b"Content-Encoding: br\r\n"),
    *(b"Range: bytes=0-1\r\n", b"Origin: null\r\n", b"X: " + b"y" * 9000 + b"\r\n"),
]
METHODS = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"P\xffT"]
PATHS = [
    *(b"/", b"/docs", b"/openapi.json", b"/healthz", b"/metrics", b"/v1/model", b"/v1/predict"),
    *(
        b"/v1/predict?heatmap=1",
        b"/v1/predict?heatmap=%ff",
        b"//",
        b"/%2e%2e/",
        b"http://a/b",
        b"*",
    ),
    *(b"/" + b"a" * 5000, b"/v1/predict/", b"/v1/predict#", b"/\xe2\x82\xac"),
]


def body(chance: random.Random, number: int) -> tuple[bytes, bytes]:
    """Return a Content-Type, and a body that is usually wrong somewhere."""
    images = [mutant(number, at)[1] for at in range(chance.choice((1, 1, 2, 5)))]
    kind = chance.choice(("raw", "form", "json", "noise"))
    if kind == "raw":
        return chance.choice((b"image/png", b"image/", b"application/octet-stream")), images[0]
    if kind == "noise":
        types = (b"application/json", b"multipart/form-data; boundary=b", b"text/plain", b"\x7f")
        return chance.choice(types), chance.randbytes(chance.choice((0, 1, 50, 5000)))
    if kind == "json":
        name = chance.choice(("a.jpg", "\ud800", "\0", "x" * 2000, "../../etc/passwd"))
        coded = [{"source": name, "data": base64.b64encode(each).decode()} for each in images]
        text = bytearray(json.dumps({"images": coded}).encode())
        return b"application/json", damaged(text, chance)
    parts = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="images"; filename="\xc3\xa9"\r\n\r\n'
        + each
        + b"\r\n"
        for each in images
    )
    return b"multipart/form-data; boundary=b", damaged(bytearray(parts + b"--b--\r\n"), chance)


def damaged(content: bytearray, chance: random.Random) -> bytes:
    """Return the bytes, damaged in half of the cases."""
    for _ in range(chance.choice((0, 0, 1, 3))):
        at = chance.randrange(len(content) + 1)
        what = chance.choice(("flip", "token", "cut", "noise"))
        if what == "flip" and at < len(content):
            content[at] ^= 1 << chance.randrange(8)
        elif what == "token":
            content[at:at] = chance.choice(TOKENS)
        elif what == "noise":
            content[at : at + 4] = chance.randbytes(chance.choice((1, 4, 300)))
        elif what == "cut":
            del content[at : at + chance.choice((1, 9, len(content)))]
    return bytes(content)


def request(chance: random.Random, number: int) -> bytes:
    """Return the bytes of a request."""
    if chance.random() < 0.05:  # noqa: PLR2004
        return chance.randbytes(chance.choice((1, 40, 3000)))
    post = chance.random() < 0.7  # noqa: PLR2004
    method = b"POST" if post else chance.choice(METHODS)
    path = (
        chance.choice((b"/v1/predict", b"/v1/predict?heatmap=1")) if post else chance.choice(PATHS)
    )
    kind, content = body(chance, number)
    lies = (0, 0, 0, 0, 0, 1, -1, 5000, 10**9)
    length = max(0, len(content) + chance.choice(lies))
    framing = b"Content-Length: %d\r\n" % length
    if chance.random() < 0.2:  # noqa: PLR2004
        framing = b"Transfer-Encoding: chunked\r\n"
        content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
    head = b"%b %b HTTP/1.1\r\n%bContent-Type: %b\r\n" % (method, path, HOST, kind) + framing
    if chance.random() < 0.3:  # noqa: PLR2004
        head = damaged(bytearray(head), chance)
    return head + b"\r\n" + content


def send(port: int, seed: int, number: int) -> str:
    """Send one request, and return the status, or what happened instead."""
    chance = random.Random(f"{seed}/{number}")
    content = request(chance, number)
    manner = chance.choices(("whole", "slow", "leave", "deaf"), (94, 2, 2, 2))[0]
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
            pieces = [content]
            if manner == "slow":
                cuts = sorted(chance.randrange(len(content) + 1) for _ in range(4))
                ends = [*cuts, len(content)]
                pieces = [content[a:b] for a, b in zip([0, *cuts], ends, strict=True)]
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.3 if manner == "slow" else 0)
            if manner in ("leave", "deaf"):
                time.sleep(0.2 if manner == "deaf" else 0)
                return f"({manner}s)"
            connection.shutdown(socket.SHUT_WR) if chance.random() < 0.1 else None  # noqa: PLR2004
            answer = b""
            while b"\r\n" not in answer and (more := connection.recv(65536)):
                answer += more
            return answer[9:12].decode() if answer.startswith(b"HTTP/1.1 ") else "(closed)"
    except TimeoutError:
        return "(waits for more)"
    except OSError:
        return "(reset)"


def score(server: Server) -> bytes:
    """Return the answer to a valid request."""
    where = f"http://127.0.0.1:{server.port}/v1/predict"
    headers = {"Content-Type": "image/png"}
    with urllib.request.urlopen(
        urllib.request.Request(where, seeds()[0][1], headers), timeout=60
    ) as answer:
        content: bytes = answer.read()
    return content


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("-m", "--model", default="fast")
    given = parser.parse_args()
    with serving("-m", given.model, "--timeout", 5, "--device", "cpu") as server:
        before, memory = score(server), server.memory()
        with ThreadPoolExecutor(given.clients) as pool:
            one: Callable[[int], str] = partial(send, server.port, given.seed)
            counts = Counter(pool.map(one, range(given.requests)))
        wrong = [status for status in counts if status.isdecimal() and int(status) >= BROKEN]
        trouble = [f"answers with {status}" for status in wrong]
        if not server.alive or score(server) != before:
            trouble.append("a sound photo is not scored as before")
        after = server.memory() if server.alive else 0.0
        code, said = server.stop()
    lines = [line for line in said.splitlines() if not LIBTIFF.match(line)]
    if code or lines:
        trouble.append("\n".join([f"ended with {code}", *lines]))
    rows = [[status, str(count)] for status, count in sorted(counts.items())]
    rows.append(["MB before and after", f"{memory:.0f}, {after:.0f}"])
    report(table(["answer", "requests"], rows), dict(counts), None)
    for each in trouble:
        print(each, file=sys.stderr)
    sys.exit(1 if trouble else 0)


if __name__ == "__main__":
    main()
