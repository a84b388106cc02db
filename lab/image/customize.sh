#!/bin/sh
# mmdebstrap customize hook: $1 is the root directory of the image.
set -eu
exec chroot "$1" sh -eu <<'EOF'
# Data directories are made on each host: no two servers share an identity, and a server
# without one does not start.
pg_lsclusters --no-header | while read -r version cluster _; do
    pg_dropcluster "$version" "$cluster"
done
rm -rf /var/lib/mysql/*
mkdir -p /etc/systemd/system/mariadb.service.d
cat > /etc/systemd/system/mariadb.service.d/lab.conf <<'CONF'
[Unit]
ConditionPathExists=/var/lib/mysql/mysql
CONF
# In a privileged container these would reach the machine itself: its kernel, disks and consoles.
systemctl mask --quiet systemd-modules-load.service systemd-sysctl.service systemd-binfmt.service \
    proc-sys-fs-binfmt_misc.automount fstrim.timer e2scrub_all.timer e2scrub_reap.service \
    getty.target getty-static.service console-getty.service systemd-logind.service
systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer

useradd --create-home --shell /bin/bash ops
echo 'ops ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ops

# One kind of host key keeps the first boot short; it is made there because images are shared.
rm -f /etc/ssh/ssh_host_*
cat > /etc/ssh/sshd_config.d/lab.conf <<'CONF'
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /lab/authorized_keys .ssh/authorized_keys
PasswordAuthentication no
UseDNS no
CONF
mkdir -p /etc/systemd/system/ssh.service.d
cat > /etc/systemd/system/ssh.service.d/host-key.conf <<'CONF'
[Service]
ExecStartPre=
ExecStartPre=/bin/sh -c 'test -s /etc/ssh/ssh_host_ed25519_key || ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key'
ExecStartPre=/usr/sbin/sshd -t
CONF
EOF
