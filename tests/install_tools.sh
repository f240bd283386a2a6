#!/bin/sh
# Installs what some tests need, where it is missing. The fault tests break things with strace, and with
# FUSE drivers of file systems that lack something; the gallery is driven in Chromium; nginx and Apache
# send files in front of the web integration; wrk loads it in `make bench`. PostgreSQL and Redis are the
# attachments' database and queue, clamd scans, and sshd serves SFTP. The command line
# is completed in zsh and fish. Needs root and apt; without them those tests skip,
# with the reason.
set -eu
PATH="$PATH:/usr/sbin:/sbin"

missing=
for pair in strace:strace mkfs.vfat:dosfstools fusefat:fusefat lowntfs-3g:ntfs-3g \
	chromium:chromium chromedriver:chromium-driver nginx:nginx-light wrk:wrk \
	redis-server:redis-server clamd:clamav-daemon sshd:openssh-server zsh:zsh fish:fish; do
	command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
done
# Debian's wrapper is not the server, which is in no directory of PATH.
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null || missing="$missing postgresql"
test -e /usr/lib/apache2/modules/mod_xsendfile.so || missing="$missing libapache2-mod-xsendfile"
test -n "$missing" || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "==> Some tests will skip. To run them, install:$missing"
	exit 0
fi
echo "==> Installing$missing for the tests"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 - several packages
if ! said=$({ apt-get -qq update && apt-get -qq install --no-install-recommends $missing; } 2>&1 </dev/null); then
	echo "$said" | tail -n 5
	echo "==> They could not be installed: some tests will skip"
fi
