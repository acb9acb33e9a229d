"""The words of errors."""

from __future__ import annotations

from engine.errors import nearest


def test_the_nearest_name_is_told_but_never_the_one_that_was_sent():
    assert nearest("img", ["image", "label"]) == "; did you mean 'image'?"
    assert nearest("Image", ["image"]) == "; did you mean 'image'?"
    assert nearest("image", ["image"]) == ""
    assert nearest("image", ["image", "images"]) == nearest("image", ["image", "Image"]) == ""
    assert nearest("zzz", ["image"]) == ""
