"""The documentation that modules share which closed maintenance windows can keep from their work."""

from __future__ import annotations


class ModuleDocFragment:
    """Ansible puts it into the documentation of a module that extends it."""

    DOCUMENTATION = r"""
options:
  override:
    description: Who lets this through closed maintenance windows of the instance, for it to be recorded.
    type: dict
    suboptions:
      by:
        description: The person.
        type: str
      reason:
        description: The reason.
        type: str
      for:
        description: For how long the windows are overridden, for example V(2h), which is the default. At most a day.
        type: str
"""
