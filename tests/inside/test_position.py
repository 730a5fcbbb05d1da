"""A position is read as it is written, and a wrong one says what there is."""

import pytest

from cnncli.errors import UsageError
from cnncli.inside import read_position
from tests.inside.networks import network_of

NETWORK = network_of("plain")
"""conv1 and relu1: 4x7x6, maxpool1: 4x3x3, flatten1: 36, linear1: 3."""


@pytest.mark.parametrize(
    "text", ["conv1[3,6,5]", " conv1 [ 3, 6 ,5 ] ", "relu1[0,0,0]", "linear1[2]", "flatten1[35]"]
)
def test_a_position_is_printed_as_it_is_read(text: str) -> None:
    assert str(read_position(NETWORK, text)) == text.replace(" ", "")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "conv1[4,0,0]",
            "'conv1[4,0,0]' is outside of conv1, whose output is 4x7x6",
            "conv1 has channel 0 to 3, row 0 to 6, column 0 to 5",
        ),
        (
            "conv1[0,-1,0]",
            "'conv1[0,-1,0]' is outside of conv1, whose output is 4x7x6",
            "conv1 has channel 0 to 3, row 0 to 6, column 0 to 5",
        ),
        ("linear1[3]", "'linear1[3]' is outside of linear1, whose output is 3", "linear1 has number 0 to 2"),
        ("conv2[0,0,0]", "the network has no layer 'conv2'", "did you mean 'conv1'?"),
        ("xyz[0]", "the network has no layer 'xyz'", "known: conv1, relu1, maxpool1, flatten1, linear1"),
        (
            "conv1",
            "'conv1' names no value of conv1, whose output is 4x7x6",
            "write conv1[channel,row,column], such as conv1[2,3,3]",
        ),
        (
            "conv1[1,2]",
            "'conv1[1,2]' names no value of conv1, whose output is 4x7x6",
            "write conv1[channel,row,column], such as conv1[2,3,3]",
        ),
        (
            "linear1[1,2]",
            "'linear1[1,2]' names no value of linear1, whose output is 3",
            "write linear1[number], such as linear1[1]",
        ),
        (
            "conv1[a,0,0]",
            "'conv1[a,0,0]' names no value of conv1, whose output is 4x7x6",
            "write conv1[channel,row,column], such as conv1[2,3,3]",
        ),
        ("conv1[1,2,3", "'conv1[1,2,3' names no value of a layer", "write conv1[2,3,3]"),
        ("", "'' names no value of a layer", "write conv1[2,3,3]"),
    ],
)
def test_a_wrong_position_says_what_there_is(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_position(NETWORK, text)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert caught.value.exit_code == 2
