"""Which requests the server of the page answers."""

import http.client
import json
from urllib.parse import urlsplit

import pytest
from tiny_network import save_checkpoint

from csnln_mm.checkpoints import load_network

pytest.importorskip('gradio', reason='the page needs Gradio')

from csnln_mm.explore import Server  # noqa: E402

MIB = 2**20


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    network = load_network(save_checkpoint(tmp_path_factory.mktemp('guard') / 'tiny.pth'))
    with Server({'tiny': network}, allow_hosts=['Proxy.example'], max_pixels=1000) as server:
        yield server


def request(server, method, path, body=b'', headers=None):
    """Status and text; ``headers`` may replace Host and Content-Length, or remove them by None."""
    netloc = urlsplit(server.url).netloc
    connection = http.client.HTTPConnection(netloc, timeout=60)
    connection.putrequest(method, path, skip_host=True)
    for name, value in dict({'Host': netloc, 'Content-Length': len(body)}, **headers or {}).items():
        if value is not None:
            connection.putheader(name, str(value))
    connection.endheaders()
    connection.send(body)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def upload(server, *sizes, **headers):
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="%d.bin"\r\n\r\n%s\r\n'
        % (i, bytes([i]) * size)
        for i, size in enumerate(sizes)
    ]
    kind = {'Content-Type': 'multipart/form-data; boundary=x'}
    return request(
        server, 'POST', '/gradio_api/upload', b''.join(parts) + b'--x--', {**kind, **headers}
    )


def files(server):
    return {path for path in server.sessions.folder.rglob('*') if path.is_file()}


def test_only_the_servers_own_names_are_answered(server):
    port = urlsplit(server.url).port
    for host in f'127.0.0.1:{port}', f'localhost:{port}', '[::1]', 'proxy.example', '192.168.1.7':
        assert request(server, 'GET', '/config', headers=dict(Host=host))[0] == 200, host
    for host in 'rebound.example', f'127.0.0.1.example:{port}', 'localhost.example', '', '[':
        status, text = request(server, 'GET', '/config', headers=dict(Host=host))
        assert status == 403 and 'no name of this server' in text, host


def test_other_pages_cannot_upload_or_start_anything(server):
    before = files(server)
    port = urlsplit(server.url).port
    origins = 'https://evil.example', f'http://127.0.0.1:{port + 1}', 'null', f'http://evil:{port}'
    for origin in origins:
        status, text = upload(server, 10, Origin=origin)
        assert status == 403 and origin in text
        assert (
            request(server, 'POST', '/gradio_api/queue/join', b'{}', dict(Origin=origin))[0] == 403
        )
    assert files(server) == before
    for origin in server.url.rstrip('/'), 'https://proxy.example':
        status, text = upload(server, 10, Origin=origin)
        assert status == 200 and json.loads(text)


def test_a_request_has_a_limit_whatever_the_number_of_its_files(server):
    before = files(server)
    status, text = upload(server, *[20 * MIB] * 4)
    assert status == 413 and 'more than the limit of 67,108,864' in text
    assert request(server, 'POST', '/gradio_api/queue/join', bytes(2 * MIB))[0] == 413
    chunked = {'Content-Length': None, 'Transfer-Encoding': 'chunked'}
    assert request(server, 'POST', '/gradio_api/upload', b'0\r\n\r\n', chunked)[0] == 411
    assert files(server) == before


def test_all_uploads_have_a_limit(server, monkeypatch):
    monkeypatch.setattr(server.sessions, 'max_stored', server.sessions.stored() + 5 * MIB)
    assert upload(server, 3 * MIB)[0] == 200
    before = files(server)
    status, text = upload(server, 0, 3 * MIB)
    assert status == 507 and 'the space there is' in text
    assert files(server) == before
