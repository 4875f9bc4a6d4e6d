"""The folder of pictures holds nothing that no test looks at."""

from tests.screens.conftest import REPOSITORY


def test_every_folder_of_pictures_belongs_to_a_test_module() -> None:
    snapshots = REPOSITORY / "snapshots"
    folders = {picture.parent.relative_to(snapshots) for picture in snapshots.rglob("*.svg")}
    assert folders
    for folder in folders:
        assert (REPOSITORY / "tests" / folder.with_suffix(".py")).is_file(), folder
