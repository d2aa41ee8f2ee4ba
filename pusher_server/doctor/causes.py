"""All causes of the checks, by name, in the order of docs/doctor.md, which a test compares with them.

A sentence and a fix are templates; the check that reports a cause fills them in. `is_fault`: the check is ✗.
Else it is `?`: worth a look, or not to be seen from here.
"""

from pusher_server.doctor.backend_causes import BACKEND
from pusher_server.doctor.connection_causes import CONNECTION
from pusher_server.doctor.laravel_causes import LARAVEL

CAUSES = {cause.name: cause for cause in (*CONNECTION, *BACKEND, *LARAVEL)}
