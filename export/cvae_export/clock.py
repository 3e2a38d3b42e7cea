"""The time that an artifact says it was made."""

import datetime
import os

from cvae_export.errors import ExportError

__all__ = ["created"]


def created() -> datetime.datetime:
    """Now, in UTC and whole seconds, or SOURCE_DATE_EPOCH (reproducible-builds.org) where it is set."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    try:
        return datetime.datetime.fromtimestamp(int(epoch), datetime.UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ExportError(f"SOURCE_DATE_EPOCH must be seconds since 1970, got {epoch!r}") from error
