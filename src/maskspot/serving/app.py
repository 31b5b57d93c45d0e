"""The ASGI application: its routes and how requests are scored."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from maskspot.errors import MaskspotError
from maskspot.model.predictor import Predictor
from maskspot.serving import pages
from maskspot.serving.decoders import ProtectedPredictor
from maskspot.serving.guard import Guard
from maskspot.serving.headers import HeaderValue
from maskspot.serving.limits import Load, Refusal, RequestLimits, Upload, overload
from maskspot.serving.metrics import CONTENT_TYPE, Metrics
from maskspot.serving.middleware import GONE, Front
from maskspot.serving.openapi import document
from maskspot.serving.responses import as_json, error, result
from maskspot.serving.threads import ScoringThreads
from maskspot.serving.uploads import (
    Gone,
    NamedBytes,
    content_type,
    images_of,
    is_one_image,
    read_body,
)

_log = logging.getLogger("maskspot.serving")
_T = TypeVar("_T")


class Service:
    """A predictor as an ASGI application, for `maskspot.serving.server` or another server.

    Attributes:
        app: the ASGI application.
        workers: the threads that score.
        limits: limits on requests.
        metrics: counters and gauges.
    """

    def __init__(
        self,
        predictor: Predictor,
        limits: RequestLimits | None = None,
        guard: Guard | None = None,
        threads: int | None = None,
    ) -> None:
        """Start threads and processes; `close` stops them.

        Args:
            predictor: the model; its `max_pixels` applies to the images of clients.
            limits: limits on requests.
            guard: who has access; None for all clients of this machine.
            threads: number of threads that score; None for one per usable CPU.
        """
        self.limits, self.metrics = limits or RequestLimits(), Metrics()
        threads = threads or predictor.threads
        self._protected = ProtectedPredictor(predictor, threads, self.limits.image_seconds)
        self.workers = ScoringThreads(self._protected, threads, self.metrics.batch)
        self._predictor, self._load = predictor, Load(self.limits)
        # One body is split at a time, as that holds the GIL.
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="maskspot-serve-reader")
        self._document = document(self.limits, predictor.max_pixels, guard and guard.token)
        self._page, self._docs = pages.front_page(), pages.docs_page(self._document)
        show = self.metrics.show
        show(
            "maskspot_images_waiting",
            "Images that wait for a thread.",
            lambda: self.workers.waiting,
        )
        show("maskspot_threads", "Threads that score.", lambda: self.workers.threads)
        routes = [
            Route("/", self._show_page),
            Route("/docs", self._show_docs),
            Route("/openapi.json", self._show_document),
            Route("/healthz", self._show_health),
            Route("/metrics", self._show_metrics),
            Route("/v1/model", self._show_model),
            Route("/v1/predict", self._predict, methods=["POST"]),
        ]
        handlers: dict[Any, Callable[..., Any]] = {
            Refusal: _refused,
            HTTPException: _not_served,
            Gone: _gone,
            MaskspotError: _failed,
            Exception: _broken,
        }
        routed = Starlette(routes=routes, exception_handlers=handlers)
        routed.router.redirect_slashes = False
        paths = [route.path for route in routes]
        self.app = Front(routed, guard or Guard(), self.metrics, self.limits.timeout, paths)

    def warm_up(self) -> None:
        """Wait until images can be decoded, so that the first request does not have to.

        Raises:
            ServiceError: the processes for it cannot be started.
        """
        self._protected.warm_up()

    def close(self) -> None:
        """Stop threads and processes once no image waits."""
        self.workers.close()
        self._protected.close()
        self._reader.shutdown(cancel_futures=True)

    async def _show_page(self, request: Request) -> Response:
        return HTMLResponse(self._page.html, headers={"Content-Security-Policy": self._page.policy})

    async def _show_docs(self, request: Request) -> Response:
        return HTMLResponse(self._docs.html, headers={"Content-Security-Policy": self._docs.policy})

    async def _show_document(self, request: Request) -> Response:
        root = request.scope.get("root_path", "")
        servers = {"servers": [{"url": root}]} if root else {}
        return as_json({**self._document, **servers})

    async def _show_health(self, request: Request) -> Response:
        return as_json({"status": "ok"})

    async def _show_metrics(self, request: Request) -> Response:
        return Response(self.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def _show_model(self, request: Request) -> Response:
        limits = {
            "max_body": self.limits.max_body,
            "max_images": self.limits.max_images,
            "max_pixels": self._predictor.max_pixels,
        }
        info = self._predictor.info
        model = {"model": self._predictor.id, "name": info.name, "question": info.question}
        return as_json({**model, "heatmap": self._predictor.has_heatmap, "limits": limits})

    async def _predict(self, request: Request) -> Response:
        """Score the images of a request."""
        ends = asyncio.get_running_loop().time() + self.limits.timeout
        heatmap = self._wants_heatmap(request)
        headers = request.headers
        kind = content_type(headers.get("content-type"), headers.get("content-encoding"))
        self._load.check()
        with Upload(self._load) as upload:
            try:
                async with asyncio.timeout_at(ends):
                    await read_body(request.receive, headers.get("content-length"), upload)
            except TimeoutError:
                raise Refusal(408, f"the body took more than {self.limits.timeout:g} s") from None
            with self._load.place():
                # Only the threads hold the images, so that each is freed once it is scored.
                work = self.workers.submit(await self._images(upload.take(), kind, ends), heatmap)
                scores = await self._unless_gone(request, work, ends)
        self.metrics.images(scores)
        results = [result(score, heatmap) for score in scores]
        failed = is_one_image(kind) and scores[0].error is not None
        return as_json({"model": self._predictor.id, "results": results}, 422 if failed else 200)

    async def _images(self, body: bytearray, kind: HeaderValue, ends: float) -> list[NamedBytes]:
        if is_one_image(kind):  # there is nothing to split, so no thread is needed
            return images_of(body, kind, self.limits)
        try:
            async with asyncio.timeout_at(ends):
                split = self._reader.submit(images_of, body, kind, self.limits)
                return await asyncio.wrap_future(split)
        except TimeoutError:
            raise self._late() from None

    def _late(self) -> Refusal:
        return overload(f"not scored within {self.limits.timeout:g} s; send fewer images at once")

    def _wants_heatmap(self, request: Request) -> bool:
        given = request.query_params.get("heatmap", "0")
        if given not in ("0", "1"):
            raise Refusal(422, "heatmap must be 0 or 1")
        if given == "1" and not self._predictor.has_heatmap:
            raise Refusal(422, "heatmap: this model has no heatmaps")
        return given == "1"

    async def _unless_gone(self, request: Request, work: Future[_T], ends: float) -> _T:
        """Return the result of a thread, unless the client disconnects or the time is over."""
        made = asyncio.wrap_future(work)
        gone = asyncio.ensure_future(request.receive())  # only a disconnect follows the body
        left = ends - asyncio.get_running_loop().time()
        try:
            either: set[asyncio.Future[Any]] = {made, gone}
            await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if made.done():
                return made.result()
            if gone.done():
                raise Gone
            raise self._late()
        finally:
            work.cancel()  # at once, where cancelling `made` would do it in the loop's next turn
            made.cancel()
            gone.cancel()


async def _refused(_: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    return error(refusal.status, refusal.reason, refusal.headers)


async def _not_served(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    known = problem.status_code == 405  # noqa: PLR2004
    reason = f"{request.method} is not supported for this path" if known else "no such path"
    return error(problem.status_code, reason, problem.headers)


async def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=GONE)  # which nobody receives


async def _failed(_: Request, problem: Exception) -> Response:
    _log.error("%s", problem)
    return error(500, "the model fails")


async def _broken(_: Request, __: Exception) -> Response:
    return error(500, "internal error")  # Starlette raises it again, so that it is logged
