"""Contact sheets, thumbnails and comparison of frames."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from shotput import _native
from shotput.errors import ImageError

BACKGROUND = (24, 24, 26)
Pixel = tuple[int, ...]


def png(path: Path, width: int, height: int, pixel: Pixel, *, bits: int = 8) -> Path:
    """A PNG in one colour; grey, RGB or RGBA by the length of the pixel."""
    kind = {1: 0, 3: 2, 4: 6}[len(pixel)]
    sample = ">" + ("B" if bits == 8 else "H") * len(pixel)
    row = b"\0" + struct.pack(sample, *pixel) * width

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    data = zlib.compress(row * height)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path


def pixels(path: Path) -> list[list[Pixel]]:
    """The rows of an RGB PNG of 8 bits, as our writer makes it."""
    data = path.read_bytes()
    position, compressed, width, height = 8, b"", 0, 0
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        name, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        if name == b"IHDR":
            width, height, bits, kind = struct.unpack_from(">IIBB", body)
            assert (bits, kind) == (8, 2)
        if name == b"IDAT":
            compressed += body
        position += length + 12
    raw, rows, before = zlib.decompress(compressed), [], bytes(width * 3)
    for row in range(height):
        method, line = (
            raw[row * (width * 3 + 1)],
            bytearray(raw[row * (width * 3 + 1) + 1 : (row + 1) * (width * 3 + 1)]),
        )
        for index in range(len(line)):
            left = line[index - 3] if index >= 3 else 0
            corner = before[index - 3] if index >= 3 else 0
            line[index] = (line[index] + predicted(method, left, before[index], corner)) & 255
        before = bytes(line)
        rows.append([tuple(before[start : start + 3]) for start in range(0, width * 3, 3)])
    return rows


def predicted(method: int, left: int, above: int, corner: int) -> int:
    """The five filters of PNG."""
    if method == 4:
        guess = left + above - corner
        return min((left, above, corner), key=lambda value: abs(guess - value))
    return (0, left, above, (left + above) // 2)[method]


def exr(path: Path, width: int, height: int, channels: dict[str, float]) -> Path:
    """An uncompressed OpenEXR of 32-bit floats, each channel one value."""

    def attribute(name: str, kind: str, value: bytes) -> bytes:
        return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<I", len(value)) + value

    names = sorted(channels)
    listed = b"".join(name.encode() + b"\0" + struct.pack("<iB3xii", 2, 0, 1, 1) for name in names) + b"\0"
    window = struct.pack("<iiii", 0, 0, width - 1, height - 1)
    header = b"\x76\x2f\x31\x01" + struct.pack("<I", 2)
    header += attribute("channels", "chlist", listed) + attribute("compression", "compression", b"\0")
    header += attribute("dataWindow", "box2i", window) + attribute("displayWindow", "box2i", window)
    header += attribute("lineOrder", "lineOrder", b"\0") + attribute("pixelAspectRatio", "float", struct.pack("<f", 1))
    header += attribute("screenWindowCenter", "v2f", struct.pack("<ff", 0, 0))
    header += attribute("screenWindowWidth", "float", struct.pack("<f", 1)) + b"\0"
    line = b"".join(struct.pack("<f", channels[name]) * width for name in names)
    first = len(header) + 8 * height
    offsets = b"".join(struct.pack("<Q", first + row * (8 + len(line))) for row in range(height))
    lines = b"".join(struct.pack("<iI", row, len(line)) + line for row in range(height))
    path.write_bytes(header + offsets + lines)
    return path


def test_equal_images_do_not_differ(tmp_path: Path) -> None:
    a, b = png(tmp_path / "a.png", 7, 5, (10, 20, 30)), png(tmp_path / "b.png", 7, 5, (10, 20, 30))
    assert _native.mean_difference(a, b) == 0.0


def test_black_and_white_differ_by_one(tmp_path: Path) -> None:
    a, b = png(tmp_path / "a.png", 7, 5, (0, 0, 0)), png(tmp_path / "b.png", 7, 5, (255,))
    assert _native.mean_difference(a, b) == 1.0


def test_the_difference_is_the_mean_of_all_channels(tmp_path: Path) -> None:
    a, b = png(tmp_path / "a.png", 7, 5, (0, 10, 20)), png(tmp_path / "b.png", 7, 5, (3, 10, 20))
    assert _native.mean_difference(a, b) == pytest.approx(1 / 255)


def test_alpha_counts_when_there_is_one(tmp_path: Path) -> None:
    a, b = png(tmp_path / "a.png", 7, 5, (0, 0, 0, 255)), png(tmp_path / "b.png", 7, 5, (0, 0, 0, 0))
    assert _native.mean_difference(a, b) == 0.25
    assert _native.mean_difference(png(tmp_path / "c.png", 7, 5, (0, 0, 0)), b) == 0.25


def test_depths_are_compared_as_what_they_show(tmp_path: Path) -> None:
    a = png(tmp_path / "a.png", 7, 5, (128, 0, 255))
    assert _native.mean_difference(a, png(tmp_path / "b.png", 7, 5, (128 * 257, 0, 65535), bits=16)) == 0.0
    linear = exr(tmp_path / "c.exr", 7, 5, {"R": 0.2158605, "G": 0.0, "B": 7.5})
    assert _native.mean_difference(a, linear) < 0.00001


def test_images_of_different_sizes_are_not_compared(tmp_path: Path) -> None:
    a, b = png(tmp_path / "a.png", 7, 5, (0,)), png(tmp_path / "b.png", 5, 7, (0,))
    with pytest.raises(ImageError) as caught:
        _native.mean_difference(a, b)
    assert str(caught.value) == (f"Cannot compare images of different sizes: {a} has 7 × 5 pixels, {b} has 5 × 7.")


def test_sizes_come_from_the_header(tmp_path: Path) -> None:
    assert _native.image_size(png(tmp_path / "a.png", 320, 180, (1, 2, 3))) == (320, 180)
    assert _native.image_size(exr(tmp_path / "a.exr", 32, 18, {"R": 0, "G": 0, "B": 0})) == (32, 18)


def test_a_thumbnail_keeps_the_proportions(tmp_path: Path) -> None:
    source, target = png(tmp_path / "a.png", 400, 200, (200, 100, 50)), tmp_path / "small.png"
    _native.thumbnail(source, target, 100)
    rows = pixels(target)
    assert (len(rows[0]), len(rows)) == (100, 50)
    assert {pixel for row in rows for pixel in row} == {(200, 100, 50)}
    _native.thumbnail(source, target, 1000)
    assert _native.image_size(target) == (400, 200)


def test_what_is_transparent_shows_the_ground(tmp_path: Path) -> None:
    target = tmp_path / "small.png"
    _native.thumbnail(png(tmp_path / "a.png", 4, 4, (255, 255, 255, 0)), target, 10)
    assert pixels(target)[0][0] == BACKGROUND
    # OpenEXR colours are multiplied by alpha: this is white at half.
    _native.thumbnail(exr(tmp_path / "a.exr", 4, 4, {"R": 0.5, "G": 0.5, "B": 0.5, "A": 0.5}), target, 10)
    shown = zip(pixels(target)[0][0], BACKGROUND, strict=True)
    assert all(abs(value - (255 + ground) // 2) <= 1 for value, ground in shown)


@pytest.mark.parametrize("prefix", ["", "ViewLayer.Combined."])
def test_openexr_is_shown_as_srgb(tmp_path: Path, prefix: str) -> None:
    channels = {f"{prefix}{name}": value for name, value in {"R": 0.2158605, "G": 1.0, "B": 0.0}.items()}
    source, target = exr(tmp_path / "a.exr", 4, 4, {**channels, "ViewLayer.Depth.Z": 5.0}), tmp_path / "small.png"
    _native.thumbnail(source, target, 10)
    assert pixels(target)[0][0] == (128, 255, 0)


def test_a_contact_sheet_is_a_grid_with_gaps(tmp_path: Path) -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    frames = [png(tmp_path / f"{index}.png", 40, 20, colour) for index, colour in enumerate(colours)]
    target = tmp_path / "sheet.png"
    _native.contact_sheet(frames, target, columns=2, thumbnail_size=20)
    rows = pixels(target)
    assert (len(rows[0]), len(rows)) == (4 + 20 + 4 + 20 + 4, 4 + 10 + 4 + 10 + 4)
    for index, colour in enumerate(colours):
        left, top = 4 + index % 2 * 24, 4 + index // 2 * 14
        cell = {pixel for row in rows[top : top + 10] for pixel in row[left : left + 20]}
        assert cell == {colour}
        assert rows[top - 1][left] == rows[top][left - 1] == BACKGROUND
    assert rows[20][40] == BACKGROUND


def test_labels_are_written_below_the_frames(tmp_path: Path) -> None:
    frames = [png(tmp_path / f"{index}.png", 40, 20, (200, 0, 0)) for index in range(2)]
    plain, labelled, other = (tmp_path / f"{name}.png" for name in ("plain", "labelled", "other"))
    _native.contact_sheet(frames, plain, columns=2, thumbnail_size=40)
    _native.contact_sheet(frames, labelled, columns=2, thumbnail_size=40, labels=["0001", "0002"])
    _native.contact_sheet(frames, other, columns=2, thumbnail_size=40, labels=["0001", "0003"])
    height = _native.image_size(plain)[1]
    assert _native.image_size(labelled)[1] == height + 14
    assert pixels(labelled)[:height] == pixels(plain)
    strip = pixels(labelled)[height:]
    assert any(pixel != BACKGROUND for row in strip for pixel in row)
    assert [row[:46] for row in strip] == [row[:46] for row in pixels(other)[height:]]
    assert strip != pixels(other)[height:]


def test_frames_of_several_kinds_share_a_sheet(tmp_path: Path) -> None:
    frames = [png(tmp_path / "a.png", 40, 20, (9,)), exr(tmp_path / "b.exr", 20, 40, {"Y": 1.0})]
    target = tmp_path / "sheet.png"
    _native.contact_sheet(frames, target, columns=5, thumbnail_size=40)
    rows = pixels(target)
    assert (len(rows[0]), len(rows)) == (2 * 44 + 4, 48)
    assert rows[24][68] == (255, 255, 255)


@pytest.mark.parametrize("suffix", ["png", "exr"])
@pytest.mark.parametrize("keep", [0, 5, 60, -20])
def test_truncated_frames_are_named(tmp_path: Path, suffix: str, keep: int) -> None:
    good = png(tmp_path / "good.png", 40, 20, (1, 2, 3))
    channels = {"R": 0.0, "G": 0.0, "B": 0.0}
    source = (
        png(tmp_path / "x.png", 40, 20, (1, 2, 3)) if suffix == "png" else exr(tmp_path / "x.exr", 40, 20, channels)
    )
    torn = tmp_path / f"torn.{suffix}"
    torn.write_bytes(source.read_bytes()[:keep])
    target = tmp_path / "sheet.png"
    for call in (
        lambda: _native.contact_sheet([good, torn], target, columns=2, thumbnail_size=20),
        lambda: _native.thumbnail(torn, target, 20),
        lambda: _native.mean_difference(good, torn),
    ):
        with pytest.raises(ImageError) as caught:
            call()
        assert str(caught.value).startswith(f"Cannot read the image {torn}: ")
        assert str(caught.value).endswith("damaged, incomplete, or no PNG, JPEG or OpenEXR file; render it again.")
    assert not target.exists()


def test_a_missing_frame_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.png"
    with pytest.raises(ImageError) as caught:
        _native.image_size(missing)
    assert str(caught.value) == (
        f"Cannot read the image {missing}: No such file or directory (os error 2). "
        "It is damaged, incomplete, or no PNG, JPEG or OpenEXR file; render it again."
    )


def test_impossible_sheets_are_refused(tmp_path: Path) -> None:
    frame, target = png(tmp_path / "a.png", 4, 4, (1,)), tmp_path / "sheet.png"

    def refused(frames: list[Path], **arguments: object) -> str:
        with pytest.raises(ImageError) as caught:
            _native.contact_sheet(frames, target, **{"columns": 1, "thumbnail_size": 10, **arguments})  # type: ignore[arg-type]
        return str(caught.value)

    assert refused([]) == "A contact sheet needs at least one image, and none was given."
    assert refused([frame], columns=0) == "A contact sheet needs at least one column, and columns is 0."
    assert refused([frame], thumbnail_size=0) == "A thumbnail of 0 pixels cannot be made: use 1 to 8192."
    assert refused([frame], labels=["a", "b"]) == (
        "A contact sheet needs one label per image: there are 2 labels and 1 images."
    )
    assert not target.exists()


def test_a_target_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    target = tmp_path / "nowhere" / "sheet.png"
    with pytest.raises(ImageError) as caught:
        _native.thumbnail(png(tmp_path / "a.png", 4, 4, (1,)), target, 10)
    assert str(caught.value).startswith(f"Cannot write the image {target}: ")
    assert str(caught.value).endswith(". Check that its folder exists, can be written, and has space.")


def test_nothing_but_the_target_is_written(tmp_path: Path) -> None:
    _native.thumbnail(png(tmp_path / "a.png", 4, 4, (1,)), tmp_path / "b.png", 10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]
