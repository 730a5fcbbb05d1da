"""Draws the pages of a PDF document as pictures, with the package pypdfium2."""

from typing import TYPE_CHECKING

from cnncli.errors import PictureError
from cnncli.pictures.formats import check_installed

if TYPE_CHECKING:
    from PIL.Image import Image

DOTS_PER_INCH = 200
"""The resolution of a drawn page; a page of A4 or Letter has 4 million pixels then."""

SIDES = (1000, 6000)
"""The least and the most pixels of the longer side of a page: a page of another size gets another resolution."""

_POINTS_PER_INCH = 72


class PdfFile:
    """The pages of a PDF document.

    Args:
        content: the bytes of the file.
        name: what errors call it.

    Raises:
        PictureError: the package is not installed, or the document needs a password or is damaged.
    """

    def __init__(self, content: bytes, name: str) -> None:
        check_installed("PDF", name)
        from pypdfium2 import PdfDocument, PdfiumError

        try:
            self._document = PdfDocument(content)
            self._document.init_forms()  # what was typed into a form is not on the page itself
        except PdfiumError as error:
            if "password" in str(error).lower():
                raise PictureError(f"{name} needs a password", "save it without one") from error
            raise

    def __len__(self) -> int:
        return len(self._document)

    def draw(self, page: int) -> "Image":
        """Return a page as it is printed, of mode "RGB".

        Args:
            page: its index, from 0.
        """
        shown = self._document[page]
        longer = max(shown.get_size()) / _POINTS_PER_INCH  # inches
        pixels = min(max(longer * DOTS_PER_INCH, SIDES[0]), SIDES[1])
        drawn: Image = shown.render(scale=pixels / longer / _POINTS_PER_INCH).to_pil()
        shown.close()
        return drawn.convert("RGB")
