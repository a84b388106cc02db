"""The disaster-recovery plan: facts of the inventory and of the hosts, in the structure of NIST SP 800-34."""
