"""Pictures and films that have a size and nothing else, for the trainer's own code to measure."""

from fractions import Fraction


class Cropped(Exception):
    """Raised at the moment the trainer has decided what to cut out and how large to make it."""

    def __init__(self, size, box):
        super().__init__()
        self.size = tuple(int(side) for side in size)
        self.box = box


class Picture:
    mode = "RGB"
    info = {}

    def __init__(self, width, height):
        self.size = (width, height)
        self.width, self.height = width, height

    def convert(self, mode):
        return self

    def resize(self, size, method=None, box=None, reducing_gap=None):
        raise Cropped(size, box)


class Pictures:
    """In place of `PIL.Image`: whatever is opened is the item at hand."""

    Image = Picture

    def __init__(self, shelf):
        self._shelf = shelf

    def open(self, path):
        item = self._shelf.item
        return Picture(item["w"], item["h"])


class Films:
    """In place of `comfy_api.latest.InputImpl`. What it says of a real file is ComfyUI's business, not asked here."""

    def __init__(self, shelf):
        self._shelf = shelf

    def VideoFromFile(self, path):
        return Film(self._shelf.item)


class Film:
    def __init__(self, item):
        self._item = item

    def get_dimensions(self):
        return self._item["w"], self._item["h"]

    def get_frame_count(self):
        return self._item["frames"]

    def get_frame_rate(self):
        return Fraction(self._item["fps"])


class Shelf:
    """Where the item at hand lies."""

    item = None
