"""CSV: types, missing values, dialects, and every bad table."""

from __future__ import annotations

import csv
import io
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data import limits
from engine.data import rows as rows_module
from engine.data.rows import Table
from engine.data.types import Budget, Conversion, Inference
from engine.errors import DataError


def refused(take, content, code, **options):
    with pytest.raises(DataError) as caught:
        take(content, "x.csv", **options)
    assert caught.value.code == code
    return caught.value


def types(dataset):
    return {feature["name"]: (feature["type"], feature["dtype"]) for feature in dataset.manifest["features"]}


@pytest.mark.parametrize(("header", "signs"), [
    ("47,49859.42,Rome", "names that are numbers: '47', '49859.42'; names that are values, too: 'Rome'"),
    ("age,1e3,city", "names that are numbers: '1e3'"),
    ("a,b,Oslo", "names that are values, too: 'Oslo'"),
    ("age,income,city", None),
])
def test_a_first_line_that_looks_like_data_is_warned_about(take, header, signs):
    dataset = take(f"{header}\n31,1200.5,Oslo\n52,3100,Rome\n", "x.csv")
    told = f"the header line looks like data ({signs}); if it is, put a line of names above it"
    assert dataset.manifest["warnings"] == ([told] if signs else [])


def test_very_many_numbers_as_names_are_not_all_shown(take):
    [warning] = take("a," + ",".join(map(str, range(500))) + "\n" + ",".join("x" * 501) + "\n", "x.csv"
                     ).manifest["warnings"]
    assert "'0', '1', '2', …)" in warning


def test_types_are_the_narrowest_that_hold_every_value(take):
    dataset = take("a,b,c,d,e,f,g\n1,1,1,true,x,1,\n-2,,2.5,False,y,tRUE,\n+3,3,-1e-3,TRUE,x,x,\n", "x.csv")
    assert types(dataset) == {"a": ("integer", "int64"), "b": ("integer", "float64"), "c": ("number", "float64"),
                              "d": ("boolean", "bool"), "e": ("category", "int32"), "f": ("category", "int32"),
                              "g": ("number", "float64")}
    np.testing.assert_array_equal(dataset.columns["a"], [1, -2, 3])
    np.testing.assert_array_equal(dataset.columns["b"], [1, math.nan, 3])
    np.testing.assert_array_equal(dataset.columns["c"], [1, 2.5, -0.001])
    np.testing.assert_array_equal(dataset.columns["d"], [True, False, True])
    np.testing.assert_array_equal(dataset.columns["e"], [0, 1, 0])
    assert dataset.manifest["warnings"] == ["column 'g' has no values"]
    assert {file["name"] for file in dataset.manifest["files"]} == {"int64.npy", "float64.npy", "bool.npy", "int32.npy"}


@pytest.mark.parametrize("text", ["1_000", "0x10", "١٢", "1.2.3", "--1", "1e", "e5", ".", "1 2", "½", "1,5"])
def test_what_only_looks_like_a_number_is_text(take, text):
    assert types(take(f'a,b\n"{text}",1\n2,1\n', "x.csv"))["a"] == ("category", "int32")


@pytest.mark.parametrize("text", ["007", "+5", "1.", ".5", "1E5", "-0.0", "9" * 18, "9" * 30, "1e-400"])
def test_what_is_a_number_is_read_as_python_does(take, text):
    np.testing.assert_array_equal(take(f"a,b\n{text},1\n", "x.csv").columns["a"], [float(text)])


@pytest.mark.parametrize("missing", ["", "NA", "N/A", "n/a", "nan", "NaN", "null", "NULL", "None", "?", "  "])
def test_missing_values_are_reported(take, missing):
    dataset = take(f"size,city\n1.5,Rome\n{missing},{missing}\n", "x.csv")
    profile = dataset.manifest["profile"]
    assert (profile["size"]["count"], profile["size"]["missing"]) == (1, 1)
    assert (profile["city"]["count"], profile["city"]["missing"]) == (1, 1)
    assert dataset.manifest["preview"][1] == {"size": None, "city": None}


def test_what_counts_as_missing_can_be_told(take):
    dataset = take("city\nNA\n-9\nRome\n", "x.csv", missing=["-9"])
    assert dataset.manifest["profile"]["city"]["classes"] == {"NA": 1, "Rome": 1}


@pytest.mark.parametrize(("delimiter", "option"), [(",", None), (";", None), ("\t", None), (";", ";"), ("\t", "\t")])
def test_delimiters_are_found_or_told(take, delimiter, option):
    content = "\n".join([delimiter.join(["a", "b", '"c,; ,;,"']), delimiter.join("123")])
    dataset = take(content, "x.csv", **({} if option is None else {"delimiter": option}))
    assert len(dataset.columns) == 3


def test_a_byte_order_mark_crlf_quotes_and_line_breaks_are_read(take):
    dataset = take('\ufeff"a ""x""",b\r\n"1\r\n2",3\r\n\r\n"x, y",4\r\n', "x.csv")
    assert dataset.manifest["features"][0]["name"] == 'a "x"'
    assert dataset.manifest["features"][0]["categories"] == ["1\r\n2", "x, y"]


def test_a_column_without_a_name_gets_one(take):
    dataset = take(",a\n0,1\n1,2\n", "x.csv")
    assert list(dataset.columns) == ["column_1", "a"]
    assert dataset.manifest["warnings"] == ["column 1 has no name and is called column_1"]


def test_types_can_be_told(take):
    dataset = take("zip,n\n00501,1\n10001,0\n", "x.csv", types={"zip": "category", "n": "number"})
    assert dataset.manifest["features"][0]["categories"] == ["00501", "10001"]
    assert types(dataset)["n"] == ("number", "float64")
    error = refused(take, "a\n1\nx\n", "csv_value", types={"a": "number"})
    assert error.where == "line 3, column 'a'"
    refused(take, "a\n1\n1.5\n", "csv_value", types={"a": "integer"})
    refused(take, "a\n1_0\n", "csv_value", types={"a": "integer"})
    refused(take, "a\ntrue\nyes\n", "csv_value", types={"a": "boolean"})


def test_free_text_is_stored(take, monkeypatch):
    monkeypatch.setattr(limits, "MAX_CLASSES", 5)
    content = "id,note,y\n" + "".join(f"user-{n},{'x' * 300 if n == 1 else 'y'},{n}\n" for n in range(6))
    dataset = take(content, "x.csv")
    assert types(dataset) == {"id": ("text", "str"), "note": ("text", "str"), "y": ("integer", "int64")}
    assert list(dataset.columns["id"][2:4]) == ["user-2", "user-3"]
    assert [dataset.columns["note"][row] for row in (0, 1)] == ["y", "x" * 300]
    assert dataset.manifest["profile"]["id"] == {"count": 6, "missing": 0, "longest_bytes": 6, "mean_bytes": 6.0}
    assert dataset.manifest["preview"][1]["note"] == "x" * 300


def test_text_may_be_asked_for_and_divided_and_missing(take):
    content = "said,part,y\nwärm,test,1\n,train,2\nNA,train,3\n\"two\nlines\",train,4\n,val,5\n"
    dataset = take(content, "x.csv", types={"said": "text"}, split="part")
    assert list(dataset.columns["said"][:]) == ["", "", "two\nlines", "", "wärm"]
    assert dataset.manifest["profile"]["said"]["missing"] == 3
    assert list(take("a,b\n,1\n,2\n", "x.csv", types={"a": "text"}).columns["a"][:]) == ["", ""]
    assert list(take("a,b\n1,1\n2.5,2\n", "x.csv", types={"a": "text"}).columns["a"][np.array([1, 0])]) == ["2.5", "1"]


def test_a_text_after_many_numbers_makes_a_column_of_categories(take, monkeypatch):
    monkeypatch.setattr(rows_module, "BLOCK_CELLS", 8)
    dataset = take("a,b,c\n" + "".join(f"{n % 7},{n},true\n" for n in range(50)) + "x,,maybe\n", "x.csv")
    assert types(dataset) == {"a": ("category", "int32"), "b": ("integer", "float64"), "c": ("category", "int32")}
    assert dataset.manifest["features"][0]["categories"] == [*"0123456", "x"]
    np.testing.assert_array_equal(dataset.columns["a"], [*(n % 7 for n in range(50)), 7])
    np.testing.assert_array_equal(dataset.columns["c"], [1] * 50 + [0])


def test_categories_of_all_columns_are_bounded_together(take, monkeypatch):
    monkeypatch.setattr(limits, "MAX_CATEGORY_CHARACTERS", 300)
    dataset = take("a,b,c\n" + "".join(f"a{n},b{n},{'xy'[n % 2]}\n" for n in range(80)), "x.csv")
    assert [feature["type"] for feature in dataset.manifest["features"]] == ["category", "text", "category"]


def test_many_columns_list_fewer_values_each_but_the_target_does_not(take, monkeypatch):
    monkeypatch.setattr(limits, "LISTED_IN_ALL", 90)
    content = "a,b,y\n" + "".join(f"{n % 30},{n % 40},{n % 40}\n" for n in range(100))
    profile = take(content, "x.csv", target="y").manifest["profile"]
    assert len(profile["a"]["classes"]) == 30
    assert profile["b"]["distinct"] == "more than 30"
    assert len(profile["y"]["classes"]) == 40


@pytest.mark.parametrize(("content", "code", "where"), [
    ("", "no_examples", None),
    ("\n\n", "no_examples", None),
    ("a,b\n", "no_examples", None),
    ("1,2\n3,4\n", "csv_no_header", "line 1"),
    ("a,a\n1,2\n", "csv_duplicate_column", "line 1, column 2"),
    ("a\x07,b\n1,2\n", "column_name", "line 1, column 1"),
    ("a" * 201 + ",b\n1,2\n", "column_name", "line 1, column 1"),
    ("a,b\n1,2\n3\n", "csv_ragged", "line 3"),
    ('a,b\n"1\n2",3\n1,2,3\n', "csv_ragged", "line 4"),
    ('a,b\n1,"2\n', "csv_malformed", "line 2"),
    ('a,b\n1,"2"x\n', "csv_malformed", "line 2"),
    ("a,b\r1,2\r", "csv_malformed", "line 1"),
    ("a,b\n1,2\n3,\0\n", "csv_nul", "line 3"),
    (b"a,b\n1,2\n3,caf\xe9\n", "csv_encoding", "line 3"),
    ("a,b\n1,2\n".encode("utf-16"), "csv_encoding", "line 1"),
    ("a,b\n1,2\n3,1e400\n", "not_finite", "line 3, column 'b'"),
    ("a,b\n1,2\n3,-Infinity\n", "not_finite", "line 3, column 'b'"),
    ("a,b\n1,2\n3," + "9" * 400 + "\n", "not_finite", "line 3, column 'b'"),
    ("a,b\n1," + "x" * 200_000 + "\n", "csv_field_too_long", "line 2"),
])
def test_bad_tables_are_refused_by_line(take, content, code, where):
    assert refused(take, content, code).where == where


def test_limits_on_columns_rows_and_row_bytes(take, monkeypatch):
    refused(take, ",".join(f"c{n}" for n in range(100_000)) + "\n", "csv_too_many_columns")
    monkeypatch.setattr(limits, "MAX_ROWS", 3)
    refused(take, "a\n1\n2\n3\n4\n", "csv_too_many_rows")
    monkeypatch.setattr(limits, "MAX_ROW_BYTES", 50)
    refused(take, "a,b\n1,2\n" + "x" * 100, "csv_row_too_long")
    refused(take, 'a,b\n"' + "x\n" * 30 + '",1\n', "csv_row_too_long")


def test_a_gigabyte_field_is_refused_without_being_read(tmp_path, take):
    source = tmp_path / "huge.csv"
    with source.open("wb") as file:
        file.write(b"a,b\n1,")
        file.truncate(1 << 30)  # sparse: NUL bytes, which are only looked at within the limit of a row
    with pytest.raises(DataError) as caught:
        list(Table(source, None).blocks())
    assert caught.value.code == "csv_row_too_long"


def test_options_must_name_columns(take):
    error = refused(take, "age,city\n1,x\n", "unknown_column", target="agee")
    assert "did you mean 'age'" in error.detail
    refused(take, "age,city\n1,x\n", "invalid_options", target=7)
    refused(take, "age,city\n1,x\n", "invalid_options", typos={})
    assert refused(take, "age,city\n1,x\n", "invalid_options", types={"age": "float"}).where == "/options/types/age"


def test_a_split_column_orders_rows(take):
    dataset = take("x,part\n1,test\n2,train\n3,VAL\n4,train\n", "x.csv", split="part")
    assert dataset.manifest["splits"] == {"train": [0, 2], "validation": [2, 3], "test": [3, 4]}
    np.testing.assert_array_equal(dataset.columns["x"], [2, 4, 3, 1])
    assert refused(take, "x,part\n1,train\n2,all\n", "csv_split", split="part").where == "line 3, column 'part'"
    refused(take, "x,part\n1,test\n", "no_train_split", split="part")


def test_many_blocks_and_many_columns(take):
    rng = random.Random(0)
    names = [f"c{number}" for number in range(3000)]
    rows = [[rng.choice(["", "1", "2.5", "x"]) if number % 3 == 0 else str(rng.randrange(10)) for number in range(3000)]
            for _ in range(150)]
    dataset = take("\n".join([",".join(names), *map(",".join, rows)]), "x.csv")
    assert len(dataset.manifest["files"]) == 2
    for number in (0, 1, 1500, 2998):
        got = dataset.columns[names[number]]
        if number % 3:
            np.testing.assert_array_equal(got, [int(row[number]) for row in rows])


def test_profile_of_numbers(take):
    values = np.random.default_rng(0).normal(1e6, 1, 500)
    profile = take("a\n" + "\n".join(map(repr, map(float, values))), "x.csv").manifest["profile"]["a"]
    np.testing.assert_allclose([profile["mean"], profile["std"]], [values.mean(), values.std()], rtol=1e-12)
    assert (profile["minimum"], profile["maximum"]) == (values.min(), values.max())


FIELD = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20).map(str.strip)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(FIELD, FIELD, st.integers(-10**17, 10**17), st.floats(-1e30, 1e30)), min_size=1, max_size=20),
       st.sampled_from([",", ";", "\t"]), st.sampled_from(["\n", "\r\n"]))
def test_what_csv_writes_comes_back(tmp_path_factory, rows, delimiter, line_end):
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=line_end)
    writer.writerow(["first", "second", "integer", "number"])
    writer.writerows(rows)
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    path.write_bytes(buffer.getvalue().encode())
    table = Table(path, delimiter)
    blocks = list(table.blocks())
    for place in range(4):
        values = [value for block in blocks for value in block.columns[place]]
        inference = Inference(frozenset([""]), "category" if place < 2 else None, Budget())
        inference.feed(values)
        converted = Conversion("x", inference, frozenset([""]))(values, range(len(values)))
        if place < 2:
            names = [*(inference.categories or ()), ""]
            assert [names[code] for code in converted] == [row[place] for row in rows]
        else:
            np.testing.assert_array_equal(converted, [row[place] for row in rows])
