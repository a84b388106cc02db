#!/bin/sh
# Brings one lab host to its state; runs there as root, again on every `lab.py up`.
# Arguments: any of postgresql:CLUSTER:PORT, mariadb, s3:BUCKET. The last line printed is the ssh host key.
set -eu

give_up() {
    if journalctl --quiet --boot | grep -q 'inotify.*Too many open files'; then
        echo "too many hosts for this machine: take another lab down or raise fs.inotify.max_user_instances" >&2
    else
        echo "sshd has not come up in a minute: $(journalctl --quiet --output=cat --priority=err --lines=1)" >&2
    fi
    exit 1
}

wait_for_boot() {
    tries=300
    until systemctl is-active --quiet ssh 2>/dev/null; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || give_up
        sleep 0.2
    done
}

trust_authority() {
    target=/usr/local/share/ca-certificates/holdfast-lab.crt
    cmp -s /lab/ca.crt "$target" && return
    cp /lab/ca.crt "$target"
    update-ca-certificates >/dev/null 2>&1
}

postgresql() {
    version=$(ls /usr/lib/postgresql)
    [ -e "/etc/postgresql/$version/$1" ] ||
        pg_createcluster --port "$2" --locale C.UTF-8 "$version" "$1" -- --data-checksums --no-sync >/dev/null
    systemctl start "postgresql@$version-$1"
}

mariadb() {
    [ -d /var/lib/mysql/mysql ] ||
        mariadb-install-db --user=mysql --skip-test-db >/dev/null
    systemctl start mariadb
}

s3() {
    mkdir -p "/srv/s3/$1"
    cat > /etc/systemd/system/s3.service <<'EOF'
[Unit]
Description=S3 object store (rclone)
[Service]
EnvironmentFile=/lab/s3.env
ExecStart=/lab/rclone serve s3 --addr :9000 --cert /lab/server.crt --key /lab/server.key --dir-cache-time 1s /srv/s3
Restart=on-failure
RestartSec=1
[Install]
WantedBy=multi-user.target
EOF
    systemctl daemon-reload
    systemctl enable --quiet --now s3
    python3 - <<EOF
import time, urllib.error, urllib.request
for _ in range(100):
    try:
        urllib.request.urlopen("https://$(hostname):9000/")
    except urllib.error.HTTPError:
        break  # it asks for credentials: name, certificate and authority are right
    except OSError as error:
        reason = error
    time.sleep(0.1)
else:
    raise SystemExit(f"the object store does not answer: {reason}")
EOF
}

wait_for_boot
trust_authority
for service in "$@"; do
    IFS=:
    # shellcheck disable=SC2086
    set -- $service
    unset IFS
    "$@"
done
cat /etc/ssh/ssh_host_ed25519_key.pub
