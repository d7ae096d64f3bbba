"""Inspect and audit: what they show of a table, and how they end."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from runs import Command
from tiny import plain_rows

from multimodal.data.audit.findings import Audit
from multimodal.data.columns.schema import Schema


def test_inspect_prints_the_table(command: Command, folder: Path) -> None:
    rows = plain_rows(40)
    rows["remark"] = ["[red]as[/b] new :smile:", "worn", "[/] open", "sealed"] * 10
    rows.to_csv("odd[1].csv", index=False)
    done = command("inspect", "odd[1].csv", "--target", "price", "--out", "schema.json")
    assert done.code == 0
    shown = " ".join(done.out.split())
    assert "odd[1].csv: 40 rows, 0 rejected" in shown
    for word in ("price", "target", "size", "number", "shop", "category", "[red]as[/b]"):
        assert word in shown
    assert ":smile:" in shown
    assert done.err == "schema saved to schema.json\n"
    assert Schema.load("schema.json").column("price").kind == "target"
    done = command("inspect", "rows.csv", "--out", "no/where.json")
    assert (done.code, "no/where.json: no such folder" in done.err) == (2, True)


def test_inspect_tells_which_rows_it_set_aside(command: Command, folder: Path) -> None:
    lines = Path("rows.csv").read_text().splitlines()
    lines[3:15] = ["1.0,north"] * 12
    Path("short.csv").write_text("\n".join(lines) + "\n")
    done = command("inspect", "short.csv")
    assert "80 rows, 12 rejected" in " ".join(done.out.split())
    told = done.err.splitlines()
    assert told[0].startswith("short.csv, line 4: ")
    assert told[-1] == "… and 2 more rows rejected"


def test_audit(command: Command, folder: Path) -> None:
    rows = plain_rows().astype({"price": object})
    rows.to_csv("fine.csv", index=False)
    done = command("audit", "fine.csv", "--strict")
    assert "no errors, no warnings" in done.out and done.code == 0
    rows.loc[3, "price"] = "[red]ask"
    rows.to_csv("rows.csv", index=False)
    done = command("audit", "rows.csv", "--target", "price", "--out", "new/audit")
    assert (done.code, done.err) == (0, "page: new/audit/audit.html\n")
    assert "rejected, line 5: column 'price': expected a number, got '[red]ask'" in done.out
    found = Audit.read_file(folder / "new/audit/audit.json")
    assert found is not None and (found.read, found.quarantined) == (len(rows), 1)
    assert Path("new/audit/quarantine.csv").read_text().count("\n") == 2
    assert "<table>" in Path("new/audit/audit.html").read_text()
    assert command("audit", "rows.csv", "--target", "price", "--strict").code == 1
    again = command("audit", "new/audit/quarantine.csv")
    assert "1 rows read, 1 kept" in again.out


def test_links_are_followed_where_asked_for(command: Command, folder: Path) -> None:
    """A folder of links, as Hugging Face's cache is."""
    rows = plain_rows(40)
    Path("blobs").mkdir()
    Path("snapshot").mkdir()
    for i in range(40):
        Image.new("RGB", (40, 40), (i, 0, 0)).save(f"blobs/{i}", "PNG")
        Path(f"snapshot/{i}.png").symlink_to(f"../blobs/{i}")
    rows.assign(photo=[f"{i}.png" for i in range(40)]).to_csv("photos.csv", index=False)
    done = command("audit", "photos.csv", "--images", "snapshot")
    assert done.code == 2 and "follow links with --follow-links" in " ".join(done.out.split())
    done = command("audit", "photos.csv", "--images", "snapshot", "--follow-links")
    assert done.code == 0 and "count as absent" not in done.out
    Path("links.yaml").write_text("data: {follow_links: true}")
    done = command("audit", "photos.csv", "--images", "snapshot", "--config", "links.yaml")
    assert done.code == 0


def test_addresses_are_told_and_fetched_only_where_asked_for(
    command: Command, folder: Path
) -> None:
    rows = plain_rows(40)
    rows["photo"] = [f"https://127.0.0.1:1/{i}.png" for i in range(40)]
    rows.to_csv("photos.csv", index=False)
    shown = " ".join(command("inspect", "photos.csv").out.split())
    assert "ignored" in shown and "--download DIR" in shown
    done = command("audit", "photos.csv", "--download", "fetched")
    assert done.code == 2 and "none of its 40 photos can be used" in " ".join(done.out.split())
    assert list(Path("fetched").iterdir()) == []


def test_audit_errors(command: Command, folder: Path) -> None:
    rows = plain_rows()
    rows.assign(price=3).to_csv("rows.csv", index=False)
    done = command("audit", "rows.csv", "--target", "price")
    assert done.code == 2
    assert "error: rows.csv: target 'price' is 3 in every row" in " ".join(done.out.split())
    for arguments, reason in (
        (["none.csv"], "none.csv: no such file"),
        (["rows.csv", "--target", "prise"], "Did you mean 'price'"),
        (["rows.csv", "--images", "none"], "none: no such folder"),
        (["rows.csv", "--out", "rows.csv"], "rows.csv: cannot be written"),
    ):
        done = command("audit", *arguments)
        assert (done.code, reason in done.err, "Traceback" in done.err) == (2, True, False)


def test_inspect_says_how_the_file_is_written(command: Command, folder: Path) -> None:
    rows = plain_rows(40).assign(shop=["Café", "Größe"] * 20)
    rows.to_csv("semi.csv", sep=";", decimal=",", encoding="cp1252")
    done = command("inspect", "semi.csv", "--target", "price")
    assert done.code == 0 and "Café" in done.out
    told = "separated by semicolons, encoding cp1252 as 'Café' and 'Größe' in line 2 say, decimal"
    assert told in done.err
    assert "column 1, which has no name, is left out: it holds row numbers" in done.err


@pytest.mark.parametrize("name", ["inspect", "audit"])
def test_what_the_file_does_not_decide_is_told(command: Command, folder: Path, name: str) -> None:
    Path("odd.csv").write_text("a|b;c\n" + "x|y;z\n" * 30)
    done = command(name, "odd.csv")
    assert done.code == 2 and "--separator ';' or --separator '|'" in done.err
    done = command(name, "odd.csv", "--separator", ";")
    assert done.code == 0 and "a|b" in done.out
    Path("odd.csv").write_bytes("a,b\nПривет,1\nмир,2\n".encode("cp1251"))
    done = command(name, "odd.csv")
    assert done.code == 2 and "--encoding" in done.err and "cp1251 reads 'Привет'" in done.err
    done = command(name, "odd.csv", "--encoding", "cp1251")
    assert done.code == 0


def test_kinds_are_told_on_the_command_line(command: Command, folder: Path) -> None:
    options = ["--ignore", "shop", "--kind", "size=category", "--out", "schema.json"]
    options += ["--missing", "-999", "--month-first", "--keep-spellings"]
    assert command("inspect", "rows.csv", *options).code == 0
    schema = Schema.load("schema.json")
    assert (schema.column("shop").kind, schema.column("size").kind) == ("ignored", "category")
    assert schema.column("price").missing_words == ["-999"]
    for wrong, told in (
        (["--kind", "size"], "--kind size: expected COLUMN=KIND"),
        (["--kind", "size=numbr"], "Did you mean 'number'"),
        (["--ignore", "shap"], "column 'shap' is not in the table. Did you mean 'shop'"),
        (["--separator", ";;"], "`data.separator`"),
    ):
        for name in ("inspect", "audit", "train"):
            more = ["--target", "price", "--out", "run"] if name == "train" else []
            done = command(name, "rows.csv", *wrong, *more)
            assert (done.code, told in done.err) == (2, True), (name, wrong, done.err)


def test_the_audit_is_of_the_training_that_a_config_asks_for(
    command: Command, folder: Path
) -> None:
    rows = plain_rows().assign(weigh=1.0, town=[f"town {i % 12}" for i in range(len(plain_rows()))])
    rows.loc[5, "weigh"] = -1
    rows.to_csv("rows.csv", index=False)
    Path("c.yaml").write_text(
        "data: {columns: {town: ignored}, max_quarantine: 0}\n"
        "heads: [{name: price, column: price, head: regression}]\n"
    )
    done = command("audit", "rows.csv", "--config", "c.yaml", "--weight", "weigh", "--out", "a")
    assert done.code == 2 and "1 of 80 rows" in " ".join(done.out.split())
    found = Audit.read_file(Path("a/audit.json"))
    assert found is not None and [fault.line for fault in found.set_aside] == [7]
    assert "column 'town' is left out: as told." in [each.message for each in found.findings]
    done = command("audit", "rows.csv", "--target", "price", "--group", "town", "--out", "b")
    assert done.code == 0
    done = command("audit", "rows.csv", "--target", "price", "--group", "twon", "--out", "b")
    assert done.code == 2 and "'twon'" in done.out + done.err
    done = command("audit", "rows.csv", "--config", "none.yaml")
    assert done.code == 2 and "none.yaml: cannot be read" in done.err


def test_an_audit_writes_over_no_file_that_was_mended(command: Command, folder: Path) -> None:
    rows = plain_rows().astype({"price": object})
    rows.loc[3, "price"] = "free"
    rows.to_csv("rows.csv", index=False)
    asked = ["--target", "price", "--out", "a"]
    command("audit", "rows.csv", *asked)
    path = Path("a/quarantine.csv")
    assert command("audit", "rows.csv", *asked).err == "page: a/audit.html\n"
    before = path.read_text()
    done = command("audit", "a/quarantine.csv", *asked)
    assert "a/quarantine.csv is what was audited, and stays" in done.err
    assert path.read_text() == before
    mended = before.replace(",free", ",55.5").replace("free", "55.5")
    path.write_text(mended)
    for table in ("a/quarantine.csv", "rows.csv"):
        done = command("audit", table, *asked)
        assert "a/quarantine.csv was edited since it was written, and stays" in done.err
        assert path.read_text() == mended
    assert {each.name for each in Path("a").glob("*.csv")} == {
        "quarantine.csv",
        "quarantine-2.csv",
        "quarantine-3.csv",
        "quarantine-4.csv",
    }
