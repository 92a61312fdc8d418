"""Photos with Pascal-VOC boxes, read and checked: every file and object is used, or dropped with a reason.

Layouts: ``images/`` + ``annotations/``, ``JPEGImages/`` + ``Annotations/`` (any case), or all in one folder; a photo
and its XML share their stem. Box coordinates are taken as pixel edges of the upright photo, as annotation tools write
them; the one-based inclusive pixels of the original VOC differ by one pixel at the left and top.

Reasons of drops. Photos: missing_image, missing_annotation, unreadable_annotation, no_objects, size_disagrees,
rotated_photo, and those of ``data.image`` (empty_file, not_an_image, corrupt_image, too_many_pixels, aspect_ratio).
Objects: no_class_name, unreadable_box, flipped_box, empty_box, outside_picture.
"""

from __future__ import annotations

import hashlib
import io
import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mimovl.curate.phash import phash64
from mimovl.curate.readers.objects import box_problem
from mimovl.errors import DataError, MediaError
from mimovl.picture import image_size, open_image, smart_resize
from mimovl.store import Drop

__all__ = ["IMAGE_SUFFIXES", "FoundFiles", "VocObject", "VocPhoto", "find_files", "read_photo"]

Box = tuple[float, float, float, float]

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm"}
_IMAGE_FOLDERS = {"images", "jpegimages"}
_ANNOTATION_FOLDERS = {"annotations"}
_MAX_XML_BYTES = 16 << 20


@dataclass(frozen=True)
class FoundFiles:
    """What a folder holds: annotations with the photo each belongs to, and photos without an annotation."""

    pairs: tuple[tuple[Path, Path | None], ...]
    lone_images: tuple[Path, ...]


@dataclass(frozen=True)
class VocObject:
    """One annotated thing. ``box`` is x1, y1, x2, y2 in pixels of the photo, clipped to it."""

    name: str
    box: Box


@dataclass(frozen=True)
class VocPhoto:
    """A photo that opened, with the objects that can be trusted. Sides in pixels, upright."""

    name: str
    path: Path
    width: int
    height: int
    objects: tuple[VocObject, ...]
    doubtful: frozenset[str]
    """Classes of which an object was dropped: their number in this photo is not known. ``""``: of any class."""
    num_clipped: int
    """Boxes that reached over the border and were cut there."""
    size_from_header: bool
    """The annotation gave another size than the photo's own, which was believed."""
    sha256: str
    phash: int


def find_files(directory: Path | str) -> FoundFiles:
    """Pair annotations with photos, in order of their names.

    Raises:
        DataError: No such folder, or no annotation in it; says what was looked for.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise DataError(f"{directory}: no such folder; give the folder that holds the photos and their XML files")
    image_folder = _subfolder(directory, _IMAGE_FOLDERS)
    annotation_folder = _subfolder(directory, _ANNOTATION_FOLDERS)
    annotations = [path for path in _files(annotation_folder) if path.suffix.lower() == ".xml"]
    if not annotations:
        raise DataError(
            f"{annotation_folder} holds no .xml file; expected images/ + annotations/, JPEGImages/ + Annotations/, "
            f"or photos and XML files side by side in {directory}"
        )
    images = [path for path in _files(image_folder) if path.suffix.lower() in IMAGE_SUFFIXES]
    by_stem = {path.stem: path for path in reversed(images)}
    pairs = tuple((path, by_stem.get(path.stem)) for path in annotations)
    used = {image for _, image in pairs}
    return FoundFiles(pairs, tuple(path for path in images if path not in used))


def read_photo(annotation: Path, image: Path | None) -> tuple[VocPhoto | None, list[Drop]]:
    """One photo with its objects, or None, and what had to be dropped, reasons in this module's docstring."""
    name = annotation.stem
    try:
        declared, raw_objects = _read_annotation(annotation)
        if image is None:
            raise MediaError(f"no photo named {name}.* stands beside {annotation.name}", reason="missing_image")
        data = _read_bytes(image, "unreadable_image")
        height, width = image_size(data, name=image.name)
        smart_resize(height, width)
        size_from_header = _check_size(declared, (width, height), data, raw_objects)
        picture = open_image(data, name=image.name)
    except MediaError as error:
        return None, [Drop(name, error.reason, str(error))]
    objects: list[VocObject] = []
    drops: list[Drop] = []
    doubtful: set[str] = set()
    num_clipped = 0
    for number, (class_name, box) in enumerate(raw_objects, 1):
        problem = _object_problem(class_name, box, width, height)
        if problem is not None or box is None:
            assert problem is not None, "an object without a box has a problem"
            reason, detail = problem
            drops.append(
                Drop(f"{name}#{number}", reason, f"{annotation.name}, object {number} {class_name!r}: {detail}")
            )
            doubtful.add(class_name)
            continue
        clipped = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(width)), min(box[3], float(height)))
        num_clipped += clipped != box
        objects.append(VocObject(class_name, clipped))
    if not objects:
        drops.append(Drop(name, "no_objects", f"{annotation.name} has no usable object ({len(raw_objects)} written)"))
        return None, drops
    photo = VocPhoto(
        name=name,
        path=image,
        width=width,
        height=height,
        objects=tuple(objects),
        doubtful=frozenset(doubtful),
        num_clipped=num_clipped,
        size_from_header=size_from_header,
        sha256=hashlib.sha256(data).hexdigest(),
        phash=phash64(picture),
    )
    return photo, drops


def _read_annotation(path: Path) -> tuple[tuple[int, int] | None, list[tuple[str, Box | None]]]:
    """Declared (width, height), and (class name, box or None) of each object as written."""
    data = _read_bytes(path, "unreadable_annotation")
    problem = ""
    if not data:
        problem = "the file is empty"
    elif len(data) > _MAX_XML_BYTES:
        problem = f"{len(data)} bytes, the limit is {_MAX_XML_BYTES}"
    elif b"<!ENTITY" in data:  # the way XML bombs are built; annotations have no use for them
        problem = "it declares entities"
    try:
        root = ElementTree.fromstring(b"" if problem else data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise MediaError(
            f"{path.name} is no readable XML: {problem or error}", reason="unreadable_annotation"
        ) from None
    width, height = _number(root.findtext("size/width")), _number(root.findtext("size/height"))
    declared = (int(width), int(height)) if width and height and width > 0 and height > 0 else None
    return declared, [(_class_name(element), _box(element)) for element in root.iter("object")]


def _class_name(element: ElementTree.Element) -> str:
    return " ".join((element.findtext("name") or "").split())


def _box(element: ElementTree.Element) -> Box | None:
    values = [_number(element.findtext(f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax")]
    x1, y1, x2, y2 = values
    if x1 is None or y1 is None or x2 is None or y2 is None:
        return None
    return x1, y1, x2, y2


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _object_problem(class_name: str, box: Box | None, width: int, height: int) -> tuple[str, str] | None:
    """Reason and detail why an object cannot be used; None when it can."""
    if class_name and box is None:
        return "unreadable_box", "its box lacks four finite numbers xmin, ymin, xmax, ymax"
    return box_problem(class_name, box, width, height)


def _check_size(
    declared: tuple[int, int] | None,
    size: tuple[int, int],
    data: bytes,
    objects: list[tuple[str, Box | None]],
) -> bool:
    """Whether the photo's own size was believed over another declared one.

    Raises:
        MediaError: The sizes disagree and the boxes do not fit the photo, or it was turned after annotation.
    """
    if declared is None or declared == size:
        return False
    said = f"the annotation says {declared[0]}×{declared[1]}, the photo has {size[0]}×{size[1]}"
    with Image.open(io.BytesIO(data)) as raw:  # the header only
        if raw.size == declared:
            raise MediaError(
                f"{said} once turned as its EXIF tag asks: the boxes were drawn before turning", reason="rotated_photo"
            )
    for number, (_, box) in enumerate(objects, 1):
        if box and (box[2] > size[0] + 1 or box[3] > size[1] + 1):
            raise MediaError(f"{said}, and box {number} reaches to {box[2]:g}, {box[3]:g}", reason="size_disagrees")
    return True


def _read_bytes(path: Path, reason: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MediaError(f"{path.name} cannot be read: {error.strerror}", reason=reason) from None


def _subfolder(directory: Path, names: set[str]) -> Path:
    """The subfolder of one of these names in any case, or the folder itself."""
    found = sorted(path for path in directory.iterdir() if path.name.lower() in names and path.is_dir())
    return found[0] if found else directory


def _files(folder: Path) -> Iterator[Path]:
    """Visible files by name; ``._x.xml`` and the like are litter of other systems."""
    return (path for path in sorted(folder.iterdir()) if path.name[0] != "." and path.is_file())
