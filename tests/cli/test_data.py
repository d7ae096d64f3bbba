"""Inspect and audit: what they show of a table, and how they end."""

from __future__ import annotations

from pathlib import Path

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
    assert (done.code, "no/where.json: cannot be written" in done.err) == (2, True)


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
