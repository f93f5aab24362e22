#!/bin/sh
# Installs the package in a clean Debian that systemd runs, and follows it until its purge. Ends at the first step that fails.
set -eu
export PATH=/usr/sbin:/usr/bin LC_ALL=C

step() { echo "package: $1"; }
fail() {
    echo "package: FAILED: $1"
    systemctl status --no-pager --lines=30 wattle.service || true
    exit 1
}
# What an operator would find on the disk. The rest is that of systemd, dpkg and this script.
files() {
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/tmp -o -path /var/log \
        -o -path /var/lib/dpkg -o -path /var/lib/systemd -o -path /var/cache -o -path /package \) -prune -o -print | sort
}
# Waits until a file has so many lines.
lines() {
    tries=0
    until [ "$(wc -l 2>/dev/null <"$1" || echo 0)" -ge "$2" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || fail "$1 has not $2 lines"
        sleep 0.1
    done
}

files >/tmp/before
dpkg --install /package/wattle.deb
! systemctl is-active --quiet wattle || fail "the installation started the agent"
! systemctl is-enabled --quiet wattle || fail "the installation enabled the agent"
step "installed, not started"

echo '{"n":1}' >/var/log/wattle-check.log
chmod 0640 /var/log/wattle-check.log
chgrp adm /var/log/wattle-check.log
cat >/etc/wattle/conf.d/10-check.toml <<'TOML'
[sources.file]
type = "file"
include = ["/var/log/wattle-check.log"]
[sinks.lines]
type = "file"
inputs = ["file"]
path = "/var/lib/wattle/lines.ndjson"
encoding.codec = "text"
TOML
# systemd-nspawn mounts another boot_id over that of the kernel, which the new /proc of the unit does not have: no entry of the
# journal would be from this boot.
while umount /proc/sys/kernel/random/boot_id 2>/dev/null; do :; done
systemctl restart systemd-journald
systemctl start wattle || fail "start"
[ "$(systemctl show --property=Type --value wattle)" = notify ] || fail "Type=notify"
echo "package: $(systemctl show --property=StatusText --value wattle)"
lines /var/lib/wattle/lines.ndjson 1
echo '{"n":2}' >>/var/log/wattle-check.log
lines /var/lib/wattle/lines.ndjson 2
step "started by agent.toml and conf.d, a file with group adm goes through"

cat >/etc/wattle/conf.d/20-journal.toml <<'TOML'
[sinks.messages]
type = "file"
inputs = ["journal"]
path = "/var/lib/wattle/journal.ndjson"
TOML
before=$(systemctl show --property=MainPID --value wattle)
systemctl reload wattle || fail "reload"
systemd-cat --identifier=check echo through the journal
tries=0
until grep -q 'through the journal' /var/lib/wattle/journal.ndjson 2>/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || fail "no entry of the journal"
    sleep 0.1
done
step "reloaded, an entry of the journal goes through"

echo 'inputs = 7' >/etc/wattle/conf.d/30-wrong.toml
! systemctl reload wattle || fail "the reload of an invalid configuration succeeded"
systemctl is-active --quiet wattle || fail "a refused reload ended the agent"
[ "$(systemctl show --property=MainPID --value wattle)" = "$before" ] || fail "a reload restarted the agent"
rm /etc/wattle/conf.d/30-wrong.toml
echo '{"n":3}' >>/var/log/wattle-check.log
lines /var/lib/wattle/lines.ndjson 3
step "an invalid configuration is refused, the agent runs on"

systemctl stop wattle || fail "stop"
[ "$(systemctl show --property=Result --value wattle)" = success ] || fail "the result of the stop"
[ "$(cat /var/lib/wattle/lines.ndjson)" = "$(cat /var/log/wattle-check.log)" ] || fail "the lines differ"
step "stopped, every line is there once"

echo 'inputs = 7' >/etc/wattle/conf.d/30-wrong.toml
! systemctl start wattle 2>/dev/null || fail "an invalid configuration starts"
[ "$(systemctl show --property=ExecMainStatus --value wattle)" = 78 ] || fail "exit code 78"
[ "$(systemctl show --property=ActiveState --value wattle)" = failed ] || fail "started again"
step "an invalid configuration fails the start, without another try"

rm /etc/wattle/conf.d/*.toml
dpkg --purge wattle
files >/tmp/after
comm -13 /tmp/before /tmp/after >/tmp/new
! grep -v '^/var/lib/wattle\(/\|$\)' /tmp/new || fail "a purge leaves these files"
comm -23 /tmp/before /tmp/after >/tmp/gone
[ ! -s /tmp/gone ] || fail "a purge removed $(cat /tmp/gone)"
[ -e /var/lib/wattle/lines.ndjson ] || fail "a purge removed the data"
[ ! -e /var/lib/wattle/cache ] || fail "a purge leaves the cache"
[ -z "$(find /var/lib/wattle ! -user root)" ] || fail "data of a removed user"
! getent passwd wattle || fail "the user is left"
echo "package: purged; left: $(cd /var/lib && find wattle -maxdepth 1 | sort | tr '\n' ' ')"
