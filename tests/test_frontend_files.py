"""Static files and templates: what is vendored is what VENDOR.json says, and no template breaks the content policy."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
VENDORED = [ROOT / "static" / "vendor", ROOT / "tests" / "browser" / "vendor"]
# A style attribute, an inline handler, a script or style element without an address. `nonce` would allow the latter.
FORBIDDEN = re.compile(
    r"""\sstyle\s*=\s*["']|\son[a-z]+\s*=\s*["']|<script(?![^>]*\b(src|nonce)=)[^>]*>|<style\b""", re.IGNORECASE
)


@pytest.mark.parametrize("folder", VENDORED, ids=lambda folder: folder.parent.name)
def test_vendored_files_have_version_licence_and_hash(folder: Path) -> None:
    entries = json.loads((folder / "VENDOR.json").read_text())["files"]
    listed = {"VENDOR.json"}
    for entry in entries:
        content = (folder / entry["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"], entry["file"]
        assert b"sourceMappingURL=" not in content, entry["file"]
        assert entry["version"]
        assert entry["licence"]
        assert entry["licence_files"]
        listed |= {entry["file"], *entry["licence_files"]}
    assert {path.name for path in folder.iterdir()} == listed


def templates() -> list[Path]:
    return sorted((ROOT / "templates").rglob("*.html"))


@pytest.mark.parametrize("template", templates(), ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_templates_keep_the_content_policy(template: Path) -> None:
    # The offline report is a file of its own, read without a server: its style stands inside it.
    if "consistency" in template.parts and "report" in template.name:
        pytest.skip("a self-contained file, not a page")
    text = re.sub(r"{%\s*comment.*?endcomment\s*%}|{#.*?#}", "", template.read_text(), flags=re.DOTALL)
    assert [match.group().strip() for match in FORBIDDEN.finditer(text)] == []


@pytest.mark.parametrize(
    "bad", ['<p style="color:red">', "<b onclick='x()'>", "<script>1</script>", '<script type="module">', "<style>p{}"]
)
def test_the_search_finds_what_it_looks_for(bad: str) -> None:
    """Negative control."""
    assert FORBIDDEN.search(bad)


def test_every_import_of_a_module_names_a_file_that_is_there() -> None:
    for script in (ROOT / "static" / "js").glob("*.js"):
        for name in re.findall(r"""(?:from|import\()\s*["']\./([^"']+)["']""", script.read_text()):
            assert (script.parent / name).is_file(), f"{script.name} imports {name}"
