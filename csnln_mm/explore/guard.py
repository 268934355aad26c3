"""Answer only requests of the server's own page that are within the limits."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from csnln_mm import limits
from csnln_mm.explore.session import Sessions

_HEARTBEAT = re.compile(r'/gradio_api/heartbeat/([^/]+)/?')
_UPLOAD = re.compile(r'/(gradio_api/)?upload/?')


class Guard:
    """Middleware in front of Gradio's own application.

    Other pages in the user's browser cannot control this one. A host name that was rebound to this
    address (DNS rebinding) is refused: allowed hosts are addresses, which cannot be rebound,
    localhost, and the names given. A page of another origin is refused by its ``Origin`` header,
    which browsers send with each request that changes something.

    Args:
        app: that answers.
        sessions: told about the heartbeats of open pages.
        host: what the server listens at.
        allow_hosts: further names that it is reached by, also through a proxy.
    """

    def __init__(
        self, app: ASGIApp, *, sessions: Sessions, host: str, allow_hosts: Collection[str] = ()
    ) -> None:
        self.app, self.sessions = app, sessions
        self._allowed = {name.lower() for name in allow_hosts}
        self._names = {'localhost', host.lower(), *self._allowed}
        self._incoming = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it with a sentence."""
        if scope['type'] == 'lifespan':
            await self.app(scope, receive, send)
            return
        headers = {
            name.decode('latin-1'): text.decode('latin-1') for name, text in scope['headers']
        }
        status, reason = self._refusal(scope, headers)
        if status:
            if scope['type'] == 'websocket':
                await send(dict(type='websocket.close', code=1008))
            else:
                await PlainTextResponse(reason, status)(scope, receive, send)
            return
        with self._account(scope, headers):
            await self.app(scope, receive, send)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str]:
        """Status and reason; 0 for a request that is answered."""
        host, origin = headers.get('host', ''), headers.get('origin')
        if not self._is_own(host):
            return 403, f'{_hostname(host)} is no name of this server; --allow-host NAME allows it'
        if origin is not None and urlsplit(origin).netloc != host:
            if _hostname(urlsplit(origin).netloc) not in self._allowed:
                return 403, f'a page of {origin} must not use this server'
        if scope.get('method') != 'POST':
            return 0, ''
        length = headers.get('content-length', '')
        if not length.isdecimal():
            return 411, 'the length of the request is missing'
        is_upload = _UPLOAD.fullmatch(scope['path'])
        allowed = self.sessions.max_upload if is_upload else limits.MAX_REQUEST
        if int(length) > allowed:
            return 413, f'{int(length):,} bytes are more than the limit of {allowed:,}'
        if is_upload:
            stored = self.sessions.stored() + self._incoming + int(length)
            if stored > self.sessions.max_stored:
                return 507, 'the files of all open pages take the space there is; try again later'
        return 0, ''

    def _is_own(self, host: str) -> bool:
        name = _hostname(host)
        if name in self._names:
            return True
        try:
            return bool(ip_address(name))
        except ValueError:
            return False

    @contextmanager
    def _account(self, scope: Scope, headers: dict[str, str]) -> Iterator[None]:
        """Count what is on its way, and note which pages are open."""
        if heartbeat := _HEARTBEAT.fullmatch(scope['path']):
            with self.sessions.heartbeat(heartbeat[1]):
                yield
        elif scope.get('method') == 'POST' and _UPLOAD.fullmatch(scope['path']):
            length = int(headers['content-length'])
            self._incoming += length
            try:
                yield
            finally:
                self._incoming -= length
        else:
            yield


def _hostname(netloc: str) -> str:
    """The host of ``host:port``, in lower case and without the brackets of an IPv6 address."""
    try:
        return urlsplit(f'//{netloc}').hostname or ''
    except ValueError:
        return ''
