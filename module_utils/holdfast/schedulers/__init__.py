"""Who starts the jobs on a host: systemd timers or cron."""
