"""What every test may use: the dump that comes with kscope, opened as users open it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from kscope.demo import unpack
from kscope.model.target import OpenQuery
from kscope.session.answering import finish
from kscope.session.client import Session
from kscope.session.process import WorkerProcess
from kscope.target.opening import open_target
from kscope.target.target import Target


@pytest.fixture(scope="session")
def demo() -> Path:
    """The bundled dump, unpacked."""
    return unpack()


@pytest.fixture(scope="session")
def demo_target(demo: Path) -> Target:
    """The bundled dump, opened in this process."""
    return finish(open_target(OpenQuery(path=str(demo))), None)


@pytest.fixture
async def session(demo: Path) -> AsyncIterator[Session]:
    """The bundled dump in a worker, not yet connected."""
    session = Session(WorkerProcess(OpenQuery(path=str(demo))))
    yield session
    await session.close()


@pytest.fixture(autouse=True)
def own_directories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what kscope remembers and saves away from the developer's own; keep the demo's cache."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
            patch.setenv(name, str(home / name.lower()))
        patch.delenv("NO_COLOR", raising=False)
        yield
