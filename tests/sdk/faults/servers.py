"""What can be wrong with a server: all parts of it, which test_servers.py plants."""

from faults import server_calls, server_json, server_metadata, server_status, server_transport
from faults.server_fault import ServerFault

FAULTS: tuple[ServerFault, ...] = (
    *server_transport.TRANSPORT,
    *server_status.STATUS,
    *server_json.ANSWERS,
    *server_metadata.METADATA,
    *server_calls.CALLS,
)
