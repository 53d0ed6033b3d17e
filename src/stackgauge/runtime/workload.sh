# What is run to see stacks grow; each part is a function.
PARTS="forks files proc network signals deep"
mkfifo /tmp/forever

forks() {
    for i in 1 2 3 4 5 6 7 8 9 10; do
        for j in 1 2 3 4 5; do /bin/busybox true & done
        wait
    done
    (((((((: | cat) | cat) | cat) | cat) | cat) | cat) | cat) > /dev/null
    seq 1 2000 | sort -r | gzip | zcat | wc -l
}

files() {
    mkdir -p /tmp/files/a/b/c/d/e/f/g/h
    for i in 0 1 2 3 4 5 6 7 8 9; do
        dd if=/dev/urandom of=/tmp/files/$i bs=64k count=4
        ln /tmp/files/$i /tmp/files/a/hard.$i
        ln -s ../$i /tmp/files/a/soft.$i
        mv /tmp/files/$i /tmp/files/a/b/c/$i
    done
    cp -a /tmp/files /tmp/copy
    tar -cf /tmp/files.tar -C /tmp copy
    rm -rf /tmp/copy
    mkdir /tmp/small
    mount -t tmpfs -o size=256k tmpfs /tmp/small && dd if=/dev/zero of=/tmp/small/full bs=64k count=8
    umount /tmp/small
    mount -t ramfs ramfs /tmp/small && cp /tmp/files.tar /tmp/small/ && umount /tmp/small
    mount --bind /tmp/files /tmp/small && ls -lR /tmp/small && umount /tmp/small
    sync
    echo 3 > /proc/sys/vm/drop_caches
    echo 1 > /proc/sys/vm/compact_memory
}

# All that may be read of /proc and some of /sys; what waits, or ends the kernel, is left out.
proc() {
    find /proc -maxdepth 3 -type f ! -name kmsg ! -name kcore ! -name kpage\* ! -name \*pagemap \
        ! -name clear_refs ! -name kmsg_dump ! -path '*/self/*' ! -path '*/thread-self/*' |
        head -n 800 | while read -r name; do dd if="$name" of=/dev/null bs=4k count=16; done
    find /sys/class /sys/devices /sys/kernel/mm /sys/fs -type f -maxdepth 4 |
        head -n 300 | while read -r name; do dd if="$name" of=/dev/null bs=4k count=1; done
    ps -T
    netstat -an
    df
    free
}

network() {
    ip link set lo up
    ip addr add 127.0.0.1/8 dev lo
    ip -6 addr add ::1/128 dev lo
    ping -c 2 -W 1 127.0.0.1
    ping6 -c 1 -W 1 ::1
    mkdir -p /tmp/www
    dd if=/dev/zero of=/tmp/www/page bs=64k count=8
    httpd -p 127.0.0.1:8000 -h /tmp/www
    for i in 1 2 3 4; do wget -q -O /dev/null http://127.0.0.1:8000/page; done
    (head -c 100000 /dev/zero | nc -l -p 8001 -w 5 > /dev/null) &
    usleep 300000
    head -c 100000 /dev/zero | nc -w 2 127.0.0.1 8001 > /dev/null
    ip route
}

signals() {
    trap 'got=1' USR1
    self=$(cut -d ' ' -f 4 < /proc/self/stat)
    for i in 1 2 3 4 5; do kill -USR1 "$self"; done
    sleep 60 & kill -STOP $!; kill -CONT $!; kill -TERM $!; wait $!
    # A core of one that is killed by a fault, as the limit lets it.
    ulimit -c unlimited
    (cd /tmp && sh -c 'kill -SEGV $$')
    timeout 1 sleep 5
    (ulimit -v 20000; dd if=/dev/zero of=/dev/null bs=64M count=1)
}

deep() {
    # Links through links, scripts run by scripts, folders in folders, pipes full to the end.
    mkdir -p /tmp/deep
    : > /tmp/deep/0
    for i in $(seq 1 38); do ln -s "/tmp/deep/$((i - 1))" "/tmp/deep/$i"; done
    cat /tmp/deep/38
    printf '#!/bin/sh\ntrue\n' > /tmp/deep/run0
    for i in 1 2 3 4; do printf '#!/tmp/deep/run%d\n' $((i - 1)) > /tmp/deep/run$i; done
    chmod +x /tmp/deep/run*
    for i in 0 1 2 3 4; do /tmp/deep/run$i; done
    where=/tmp/deep/folder
    for i in $(seq 1 60); do where=$where/d; done
    mkdir -p $where
    find /tmp/deep/folder > /dev/null
    rm -rf /tmp/deep/folder
    dd if=/dev/zero bs=1k count=256 | dd bs=7 count=2000 > /dev/null
    unshare -m -u -i -n -p -f true
    # A good part of what is free.
    free=$(awk '/MemAvailable/ { print int($2 / 1024 / 3) }' /proc/meminfo)
    dd if=/dev/zero of=/tmp/large bs=1M count="${free:-16}"
    rm -f /tmp/large
}
