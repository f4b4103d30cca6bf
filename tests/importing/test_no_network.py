"""Manuscripts that name addresses: none of them is asked for."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from maya_batch.importing.manuscript import read_manuscript
from tests.support.epubs import package, write_epub, xhtml


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server that answers nothing; a connection waits in its queue."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        yield listening


def was_asked(server: socket.socket) -> bool:
    try:
        connection, _ = server.accept()
    except TimeoutError:
        return False
    connection.close()
    return True


def address(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}/x"


def page(url: str) -> str:
    """All the ways in which a page of HTML refers to other files."""
    head = (
        f'<title>A</title><link rel="stylesheet" href="{url}.css"/><script src="{url}.js"></script>'
        f'<style>@import url("{url}.css");</style><meta http-equiv="refresh" content="0; url={url}"/>'
    )
    body = (
        f'<h1>One</h1><p>The first.</p><img src="{url}.png" alt=""/><object data="{url}"></object>'
        f'<iframe src="{url}"></iframe><xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{url}"/>'
    )
    return xhtml(body, head)


def with_dtd(url: str, content: str) -> str:
    """The content with a document type that is elsewhere, and an entity that is, too."""
    start = content.index("<html")
    return f'<?xml version="1.0"?><!DOCTYPE html SYSTEM "{url}.dtd" [<!ENTITY x SYSTEM "{url}">]>{content[start:]}'


def test_the_server_sees_who_asks(server: socket.socket) -> None:
    with socket.create_connection(server.getsockname()):
        assert was_asked(server)


@pytest.mark.parametrize("has_dtd", [False, True])
def test_an_epub_asks_for_nothing(has_dtd: bool, server: socket.socket, tmp_path: Path) -> None:
    url = address(server)
    content = with_dtd(url, page(url)) if has_dtd else page(url)
    items = f'<item id="far" href="{url}.xhtml" media-type="application/xhtml+xml"/>'
    items += f'<item id="cover" href="{url}.jpg" media-type="image/jpeg" properties="cover-image"/>'
    path = write_epub(tmp_path / "a.epub", {"1.xhtml": content}, opf=package(["1.xhtml"], items=items))
    assert "The first." in [block.text for block in read_manuscript(path).document.blocks]
    assert not was_asked(server)


@pytest.mark.parametrize("has_dtd", [False, True])
@pytest.mark.parametrize("suffix", ["html", "md"])
def test_a_page_asks_for_nothing(suffix: str, has_dtd: bool, server: socket.socket, tmp_path: Path) -> None:
    url = address(server)
    content = with_dtd(url, page(url)) if has_dtd else page(url)
    path = tmp_path / f"a.{suffix}"
    path.write_text(f"{content}\n\n![a picture]({url}.png) [a link]({url})\n\nThe last.\n", encoding="utf-8")
    assert read_manuscript(path).document.blocks
    assert not was_asked(server)
