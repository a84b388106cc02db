"""What database maintenance knows, without Ansible: engines, backup tools, repositories, schedules, retention, records.

Modules in ``library/`` and the host runner run this same package. It needs the standard library of Python 3.9 and, on a
database host, the distribution's driver of the engine at hand.
"""

from __future__ import annotations

__version__ = "0.1.0"
