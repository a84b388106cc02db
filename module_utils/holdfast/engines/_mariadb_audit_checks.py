"""The hardening checks of MariaDB about accounts, their passwords and their rights. Their answers are elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from ..audit.model import Check, Severity
from ._mariadb_audit_catalog import MEMBERSHIPS, PRINCIPALS, PROXIES

CRITICAL, HIGH, MEDIUM, LOW = Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW


def controls(pci: str, hipaa: str, iso: str, gdpr: str = "32(1)(b)") -> Mapping[str, tuple[str, ...]]:
    """The requirements of each framework, written with spaces between them; those of HIPAA without their 164."""
    sections = " ".join(f"164.{section}" for section in hipaa.split())
    texts = {"pci_dss": pci, "hipaa": sections, "gdpr": gdpr, "iso_27001": iso}
    return {framework: tuple(text.split()) for framework, text in texts.items() if text}


# Rights on the tables of the server itself. Those that hold no secret and no power, as of help and time zones, are not.
SYSTEM_RIGHTS = """
SELECT User, Host, Db, '' AS Table_name, concat_ws(',', IF(Select_priv = 'Y', 'SELECT', NULL),
       IF('Y' IN (Insert_priv, Update_priv, Delete_priv), 'changes of rows', NULL),
       IF('Y' IN (Create_priv, Drop_priv, Alter_priv, Trigger_priv, Create_view_priv, Create_routine_priv,
                  Alter_routine_priv, Event_priv), 'changes of objects', NULL)) AS held
  FROM mysql.db WHERE 'mysql' LIKE Db
UNION ALL
SELECT User, Host, Db, Table_name, upper(concat_ws(',', nullif(Table_priv, ''), nullif(Column_priv, '')))
  FROM mysql.tables_priv WHERE Db = 'mysql' AND Table_name NOT LIKE 'help\\_%' AND Table_name NOT LIKE 'time\\_zone%'
"""
# Grants that may be handed on, one row for each account and database.
GRANTABLE = """
SELECT User, Host, concat(Db, '.*'), 1 FROM mysql.db WHERE Grant_priv = 'Y'
UNION ALL
SELECT User, Host, concat('tables of ', Db), count(*) FROM mysql.tables_priv
 WHERE find_in_set('Grant', Table_priv) GROUP BY User, Host, Db
UNION ALL
SELECT User, Host, concat('routines of ', Db), count(*) FROM mysql.procs_priv
 WHERE find_in_set('Grant', Proc_priv) GROUP BY User, Host, Db
"""
DEFINED = """
SELECT lower(type), db, name, definer, security_type FROM mysql.proc
UNION ALL SELECT 'view', table_schema, table_name, definer, security_type FROM information_schema.views
UNION ALL SELECT 'trigger', trigger_schema, trigger_name, definer, 'DEFINER' FROM information_schema.triggers
UNION ALL SELECT 'event', db, name, definer, 'DEFINER' FROM mysql.event
"""

ACCOUNT_CHECKS = (
    Check(
        "MY01",
        "Accounts without a name",
        CRITICAL,
        "Whoever logs in with a name that the server does not know gets the rights of the account without one.",
        "DROP USER ''@'<host>'.",
        PRINCIPALS,
        controls("8.2.1 2.2.2", "312(a)(2)(i) 312(d)", "5.16 8.5"),
    ),
    Check(
        "MY02",
        "Accounts that may log in from any host",
        MEDIUM,
        "A stolen password then works from every network that reaches the server.",
        "RENAME USER to the address or the network of the application; grants move with it.",
        PRINCIPALS,
        controls("7.2.5 7.3.3", "312(a)(1)", "8.3 8.20"),
    ),
    Check(
        "MY03",
        "Administrators that may log in from another host",
        CRITICAL,
        "root is what an attacker tries first, and all privileges are as good; on the host there is the socket.",
        "Drop them, or rename them to localhost with unix_socket; administer over ssh.",
        PRINCIPALS,
        controls("2.2.7 7.2.2 8.2.2", "312(a)(1) 312(d)", "8.2 8.5"),
    ),
    Check(
        "MY04",
        "Accounts that log in without a password",
        CRITICAL,
        "An empty password is let in, by a second method of the account too. Locked accounts are not meant.",
        "ALTER USER with a password or unix_socket, or ACCOUNT LOCK.",
        PRINCIPALS,
        controls("2.2.2 8.3.1 8.3.6", "312(d)", "5.17 8.5"),
    ),
    Check(
        "MY05",
        "Passwords that are the account's name, or one that everybody tries",
        CRITICAL,
        "They are guessed in seconds. What is stored is compared here with what such passwords give, for"
        " mysql_native_password, ed25519 and parsec; pam and gssapi keep passwords elsewhere and are not tested.",
        "ALTER USER ... IDENTIFIED VIA ed25519 USING PASSWORD('<a long random one>').",
        PRINCIPALS,
        controls("2.2.2 8.3.6", "308(a)(5) 312(d)", "5.17"),
    ),
    Check(
        "MY06",
        "Passwords that are stored as plain SHA-1 or older",
        MEDIUM,
        "mysql_native_password stores an unsalted SHA-1 of a SHA-1: whoever reads a backup of mysql.global_priv has"
        " short passwords in minutes. Of the 16 digits of before MySQL 4.1 no guess is needed.",
        "Install auth_ed25519, or parsec from MariaDB 11.6 on, and have each owner set a new password.",
        PRINCIPALS,
        controls("8.3.2", "312(d)", "5.17 8.24", "32(1)(a) 32(1)(b)"),
    ),
    Check(
        "MY07",
        "Accounts with FILE",
        HIGH,
        "They read and write files of the host as the server, unless secure_file_priv keeps them to a directory.",
        "REVOKE FILE ON *.* FROM <account>; load through the client.",
        PRINCIPALS,
        controls("7.2.1 7.2.2", "308(a)(4) 312(a)(1)", "8.2 8.3"),
        power=True,
    ),
    Check(
        "MY08",
        "Accounts with SUPER, what it was split into, or all privileges",
        HIGH,
        "They change settings of the server, act in the name of others or feed it foreign changes. root and the owner"
        " of the server on localhost are not meant.",
        "REVOKE what is not needed; grant the one power that is, to a role.",
        PRINCIPALS,
        controls("7.2.1 7.2.2", "308(a)(4) 312(a)(1)", "5.18 8.2"),
        power=True,
    ),
    Check(
        "MY09",
        "Accounts with other powers over the server",
        HIGH,
        "CREATE USER sets the password of any account, PROCESS shows the statements of others, REPLICATION SLAVE reads"
        " every change, SHUTDOWN and RELOAD disturb.",
        "REVOKE them, but for accounts of monitoring, backup and replication that the policy names.",
        PRINCIPALS,
        controls("7.2.1 7.2.5", "308(a)(4) 312(a)(1)", "5.18 8.2"),
        power=True,
    ),
    Check(
        "MY10",
        "Accounts that may hand their rights on",
        HIGH,
        "With GRANT OPTION rights spread without the one who answers for them.",
        "REVOKE GRANT OPTION ON <object> FROM <account>.",
        f"{PRINCIPALS};{GRANTABLE}",
        controls("7.2.2 7.2.4", "308(a)(4)", "5.15 5.18"),
        power=True,
    ),
    Check(
        "MY11",
        "Rights on the server's own tables",
        HIGH,
        "mysql.global_priv holds the password hashes, and who writes there makes itself what it likes.",
        "REVOKE them; tools find what they need in information_schema.",
        SYSTEM_RIGHTS,
        controls("7.2.1 7.2.6", "308(a)(4) 312(a)(1)", "8.2 8.3"),
        power=True,
    ),
    Check(
        "MY12",
        "Rights on every database",
        HIGH,
        "A right ON *.* covers the server's own tables, with the password hashes, and each database yet to come.",
        "Grant on the databases that are meant, then REVOKE ... ON *.*.",
        PRINCIPALS,
        controls("7.2.1 7.2.6 7.3.3", "308(a)(4) 312(a)(1)", "8.3", "32(1)(b) 5(1)(f)"),
        power=True,
    ),
    Check(
        "MY18",
        "Accounts of other hosts that need no TLS",
        HIGH,
        "Without it passwords' answers and rows pass in clear. Where require_secure_transport is on, no account can.",
        "ALTER USER <account> REQUIRE SSL, or require_secure_transport = ON.",
        PRINCIPALS,
        controls("2.2.7 4.2.1 8.3.2", "312(e)(1)", "8.24", "32(1)(a)"),
    ),
    Check(
        "MY25",
        "Code that runs as an account that is not there, or as a powerful one",
        MEDIUM,
        "Who creates the missing account of a definer owns what its code may do; and who may run code of an"
        " administrator has the administrator's rights inside it. Views, triggers and events are code here.",
        "Give each definer an account of its own, locked, with the few rights that the code needs.",
        DEFINED,
        controls("6.2.4 7.2.5", "308(a)(4)", "8.2 8.3"),
    ),
    Check(
        "MY26",
        "Powers that are held through a role",
        HIGH,
        "They are in nobody's list of grants: information_schema.user_privileges shows none of them.",
        "REVOKE <role> FROM <account>, or take the power from the role.",
        f"{PRINCIPALS}; {MEMBERSHIPS}",
        controls("7.2.1 7.2.2 7.2.4", "308(a)(4) 312(a)(1)", "5.18 8.2"),
    ),
    Check(
        "MY36",
        "Accounts that may act as another",
        HIGH,
        "A plugin such as pam lets an account with PROXY in as the other one, with its rights and in its name.",
        "REVOKE PROXY ON <other> FROM <account>.",
        PROXIES,
        controls("7.2.2 8.2.1", "312(a)(2)(i)", "5.16 8.2"),
    ),
)
