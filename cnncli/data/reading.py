"""What the files of a data set of the user's own do not tell, so that a config says it."""

from dataclasses import dataclass
from typing import Any, Literal

from cnncli.errors import UsageError

Size = int | tuple[int, int] | Literal["auto"] | None
"""Height and width, or (height, width); "auto" for 28 for pictures and their own size for arrays; None to look at them
at about their own size."""

Colour = bool | Literal["auto"] | None
"""Whether to keep colors; "auto" for gray pictures, and arrays as they are; None to keep them if there are any."""


@dataclass(frozen=True)
class Reading:
    """How to read the files of a set of the user's own.

    Args:
        images: the name of the array, column or file of the images; None to find it.
        labels: the name of the array, column or file of the labels; None to find it.
        transpose: exchange rows and columns of each image; None for what the files are known for.
        labels_from: where the classes of pictures in one folder come from: "name" for the first word of each file's
            name, or the path of a table with names of files and labels. None for one folder per class.
        invert: exchange bright and dark.
    """

    images: str | None = None
    labels: str | None = None
    transpose: bool | None = None
    labels_from: str | None = None
    invert: bool = False

    @classmethod
    def from_config(cls, data: dict[str, Any]) -> "Reading":
        """Return what the section `data` of a config, as plain values, says about it."""
        return cls(**{key: data[key] for key in cls.__dataclass_fields__ if key in data})

    def refuse_for(self, name: str) -> None:
        """Refuse any of the keys for a set whose form is fixed.

        Raises:
            UsageError: one of them says something.
        """
        given = [key for key in self.__dataclass_fields__ if getattr(self, key) not in (None, False)]
        if given:
            raise UsageError(
                f"data.{given[0]} is for files of your own, and the form of {name} is known", "leave it out"
            )


AS_FOUND = Reading()
"""Nothing is said about the files of a set."""
