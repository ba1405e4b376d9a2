"""The native module: Rust under a Python name. Values cross as plain dicts and lists, exceptions are ``shotput.errors``."""
# Every function that may block releases the GIL. `config_path` names the client configuration file
# (default: $DEADLINE_CONFIG_FILE_PATH, else ~/.deadline/config). `target` is a resolved target (shotput.local_farm.Target
# as a dict); with it, no configuration file and no AWS profile is read.

__version__: str

# Object store

@final
class ObjectStore:
    """A folder behind the S3 protocol, served on loopback by threads of its own.

    Path-style requests with signature version 4. Works as a context manager (``start`` and ``close``). All methods may be
    called from any thread.
    """

    def __new__(cls, root: str, *, host: str = "127.0.0.1", port: int = 0) -> ObjectStore:
        """``root`` is made when missing. ``host`` is a loopback address; ``port`` 0 takes any free one."""

    def start(self) -> None:
        """Opens the folder and serves it; does nothing when it is served.

        Raises ``ObjectStoreError`` when the folder cannot be used or is served by another process, when the host is not
        loopback, or when the port is in use.
        """

    @property
    def endpoint(self) -> str:
        """The URL for S3 clients, e.g. ``http://127.0.0.1:38127``. ``ObjectStoreError`` when not started."""

    def add_credentials(
        self,
        access_key_id: str,
        secret_access_key: str,
        session_token: str | None = None,
        *,
        bucket: str,
        prefix: str = "",
        expires_at: float | None = None,
        read_only: bool = False,
    ) -> None:
        """Lets an access key in and makes its bucket; may be called before and after ``start``.

        The key opens ``bucket`` at and below the folder ``prefix`` (empty: all of it), until ``expires_at`` (seconds since
        1970). With a ``session_token``, every request must carry it. A key of the same id is replaced.
        """

    def remove_credentials(self, access_key_id: str) -> bool:
        """Shuts an access key out; false when there is none of that id."""

    def close(self) -> None:
        """Ends serving (requests under way get three seconds) and joins all threads; does nothing when not started."""

    def __enter__(self) -> ObjectStore: ...
    def __exit__(self, *exception: object) -> None: ...

# Images: PNG, JPEG and OpenEXR (linear light becomes sRGB), told apart by content. ``ImageError`` names the file that is
# damaged, incomplete or of another kind.

def image_size(path: str) -> tuple[int, int]:
    """Width and height in pixels, from the file's header."""

def thumbnail(path: str, destination: str, size: int) -> None:
    """Writes a PNG of at most ``size`` × ``size`` pixels (1 to 8192); smaller images keep their size."""

def contact_sheet(
    paths: list[str],
    destination: str,
    *,
    columns: int,
    thumbnail_size: int,
    labels: list[str] | None = None,
) -> None:
    """Writes a PNG with all images in a grid, row by row, on a dark ground with thin gaps.

    Each image is at most ``thumbnail_size`` pixels wide and high; ``labels``, one per image, are written below them.
    """

def mean_difference(a: str, b: str) -> float:
    """The mean absolute difference of all pixels and channels as seen on a screen: 0 (equal) to 1 (black against white).

    Alpha counts when either image has it. ``ImageError`` when the sizes differ.
    """
