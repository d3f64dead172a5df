"""Images by what is in them; folders and zips made to do harm."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from PIL import Image

from labeling.formats import images
from labeling.formats.images import BadImageError, BadSourceError, inspect_image, open_images, store_image, unsafe_name
from tests.intake.conftest import Maker, picture

MB = 1 << 20


@pytest.mark.parametrize(
    ("kind", "media"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp"), ("GIF", "image/gif")]
)
def test_four_kinds_by_content(kind: str, media: str) -> None:
    info = inspect_image(picture(1, (20, 10), kind), max_bytes=MB)
    assert (info.type, info.width, info.height) == (media, 20, 10)


def test_a_phone_held_upright_has_the_size_it_is_shown_in() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    info = inspect_image(picture(1, (20, 10), "JPEG", exif=exif), max_bytes=MB)
    assert (info.width, info.height) == (10, 20)


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (b"", "empty", "empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "not_an_image", "SVG"),
        (b"<!DOCTYPE html><script>alert(1)</script>", "not_an_image", "web page"),
        (b"%PDF-1.7", "not_an_image", "PDF"),
        (b"BM" + b"\0" * 60, "not_an_image", "BMP"),
        (picture(1, (64, 64), "JPEG", quality=95)[:500], "damaged", "damaged"),
        (picture(1, (64, 64))[:80], "damaged", "damaged"),
        (picture() + b"\0" * MB, "too_large", "larger than 1 MB"),
    ],
)
def test_what_is_no_image_says_what_it_seems_to_be(data: bytes, code: str, says: str) -> None:
    with pytest.raises(BadImageError, match=says) as refused:
        inspect_image(data, max_bytes=MB)
    assert refused.value.code == code


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    with pytest.raises(BadImageError, match="million"):
        inspect_image(_png_header(50_000, 50_000), max_bytes=MB)


def test_control_without_the_guard_the_bomb_gets_to_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "PIXEL_LIMIT", 10**12)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(BadImageError) as refused:
        inspect_image(_png_header(5_000, 5_000), max_bytes=MB)
    assert refused.value.code == "damaged", "decoded, and found to lack its pixels"


@pytest.mark.parametrize(
    "name",
    [
        "../up.png",
        "a/../../up.png",
        "/etc/passwd",
        "C:/x.png",
        "a\\b.png",
        "a//b.png",
        "./a.png",
        "a\nb.png",
        "",
        "x" * 201,
    ],
)
def test_names_that_lead_elsewhere(name: str) -> None:
    assert unsafe_name(name)
    assert not unsafe_name("line 1/ä_screen-01.png")


def test_a_zip_with_every_trick(archive: Maker) -> None:
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = archive(
        {
            "good.png": picture(), "../out.png": picture(), "/abs.png": picture(), link: b"/etc/passwd",
            "bomb.png": b"\0" * (20 * MB), "noise.bin": os.urandom(400_000), "__MACOSX/._good.png": b"x", "dir/.DS_Store": b"x",
        }
    )  # fmt: skip
    with open_images(path) as source:
        codes = {entry.name: entry.problem.code if entry.problem else "" for entry in source.entries.values()}
        assert codes == {
            "../out.png": "bad_name", "/abs.png": "bad_name", "bomb.png": "bomb", "good.png": "",
            "link.png": "link", "noise.bin": "",
        }  # fmt: skip
        with pytest.raises(BadImageError, match="symbolic link"):
            source.read(source.entries["link.png"], MB)
        assert source.read(source.entries["good.png"], MB) == picture()


def test_a_zip_that_is_a_bomb_as_a_whole(archive: Maker) -> None:
    with pytest.raises(BadSourceError, match="would unpack to"):
        open_images(archive({f"{n}.png": b"\0" * (3 * MB) for n in range(5)}))


def test_a_zip_that_lies_about_a_size_is_read_no_further(archive: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive({"a.png": b"\0" * 3000})
    data = path.read_bytes().replace(struct.pack("<I", 3000), struct.pack("<I", 10))
    path.write_bytes(data)
    with open_images(path) as source, pytest.raises(BadImageError, match="damaged"):
        source.read(source.entries["a.png"], MB)


def test_reading_stops_at_the_limit(archive: Maker) -> None:
    with open_images(archive({"a.png": bytes(range(256)) * 40}, compression=zipfile.ZIP_STORED)) as source:
        assert len(source.read(source.entries["a.png"], 100)) == 101


def test_encrypted_doubled_and_broken_zips(archive: Maker, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as zipped:
        zipped.writestr("a.png", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            zipped.writestr("a.png", b"2")
    with open_images(tmp_path / "twice.zip") as source:
        assert source.entries["a.png"].problem is not None
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04nothing")
    with pytest.raises(BadSourceError, match="cannot be read as a zip"):
        open_images(broken)
    path = archive({"a.png": picture()})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with open_images(path) as source:
        assert source.entries["a.png"].problem.code == "encrypted"  # type: ignore[union-attr]


def test_a_folder_follows_no_links(tmp_path: Path) -> None:
    outside = tmp_path / "secret.png"
    outside.write_bytes(picture(7))
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.png").write_bytes(picture())
    (folder / "linked.png").symlink_to(outside)
    (folder / "linked").symlink_to(tmp_path)
    with open_images(folder) as source:
        assert list(source.entries) == ["deep/a.png", "linked", "linked.png"]
        assert source.read(source.entries["deep/a.png"], MB) == picture()
        for name in ("linked", "linked.png"):
            with pytest.raises(BadImageError, match="symbolic link"):
                source.read(source.entries[name], MB)
        # Swapped for a link after the folder was listed.
        (folder / "deep" / "a.png").unlink()
        (folder / "deep" / "a.png").symlink_to(outside)
        with pytest.raises(BadImageError, match="cannot be read"):
            source.read(source.entries["deep/a.png"], MB)


def test_stored_once_under_its_hash_and_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = picture(3)
    info = inspect_image(data, max_bytes=MB)
    first = store_image(data, info, tmp_path)
    assert store_image(data, info, tmp_path) == first
    assert (tmp_path / first["file"]).read_bytes() == data
    assert first["file"] == f"items/{first['sha256'][:2]}/{first['sha256']}.png"
    other = picture(4)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store_image(other, inspect_image(other, max_bytes=MB), tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / first["file"]]
    monkeypatch.undo()
    # A torn file from a crash is written anew.
    (tmp_path / first["file"]).write_bytes(data[:10])
    store_image(data, info, tmp_path)
    assert (tmp_path / first["file"]).read_bytes() == data
