#!/bin/busybox sh
# The guest's first process. What it says on the console begins with "@@sg ":
#   @@sg step TEXT            what it is doing
#   @@sg file NAME            then base64 of the gzipped file, then
#   @@sg end NAME
#   @@sg core                 memory may be dumped now; a line on the console lets it go on
#   @@sg done
B=/bin/busybox
$B mkdir -p /proc /sys /dev /tmp /bin /sbin
$B mount -t proc proc /proc
$B mount -t sysfs sysfs /sys
$B mount -t devtmpfs devtmpfs /dev 2>/dev/null
$B mount -t tmpfs tmpfs /tmp
$B --install -s /bin
export PATH=/bin
exec </dev/console >/dev/console 2>&1
# Lines come whole, and nothing but what is told to the host is on the console.
dmesg -n 1
stty -echo -onlcr

say() { printf '\n@@sg %s\n' "$*"; }
send() {
    [ -r "$2" ] || return 0
    cat "$2" > "/tmp/send.$1" 2>/dev/null
    say file "$1"
    gzip -c < "/tmp/send.$1" | base64
    say end "$1"
    rm -f "/tmp/send.$1"
}

# However many tasks a workload leaves, there is room for those that collect.
echo 500000 > /proc/sys/kernel/pid_max 2> /dev/null
echo 500000 > /proc/sys/kernel/threads-max

. /stackgauge/settings
say step "init runs"
send version /proc/version
if [ -d /modules ]; then
    say step "loading modules"
    # Each pass loads those whose needs the passes before have met.
    for pass in 1 2 3 4 5; do
        for module in /modules/*.ko; do
            [ -e "$module" ] && insmod "$module" 2>/dev/null && rm "$module"
        done
    done
    ls /modules > /tmp/left
    send modules-left /tmp/left
fi

T=/sys/kernel/tracing
mount -t tracefs tracefs $T 2>/dev/null || {
    mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
    T=/sys/kernel/debug/tracing
}
if [ "$TRACE" = 1 ]; then
    say step "enabling the stack tracer"
    if ! echo 1 > /proc/sys/kernel/stack_tracer_enabled; then
        say no-tracer
        TRACE=
    fi 2>/dev/null
fi
chain() {
    [ "$TRACE" = 1 ] || return 0
    send "stack_trace-$1" $T/stack_trace
    send "stack_max_size-$1" $T/stack_max_size
    echo 0 > $T/stack_max_size
}
chain boot

if [ -e /stackgauge/user ]; then
    say step "workload: the user's"
    /stackgauge/user > /tmp/said.user 2>&1 < /dev/null
    say step "workload ended with status $?"
    chain user
else
    . /stackgauge/workload.sh
    for part in $PARTS; do
        say step "workload: $part"
        # A process of its own, which stays afterwards with its mark.
        (
            printf %s "load-$part" > /proc/self/comm
            "$part" > /tmp/said.$part 2>&1 < /dev/null
            : > /tmp/done.$part
            exec 3< /tmp/forever
        ) &
        turns=0
        until [ -e /tmp/done.$part ] || [ $turns -ge 600 ]; do
            usleep 100000
            turns=$((turns + 1))
        done
        chain "$part"
    done
fi

say step "collecting"
echo 1 > /proc/sys/kernel/sysrq
if [ "$TRACE" = 1 ]; then
    echo 0 > /proc/sys/kernel/stack_tracer_enabled
else
    echo t > /proc/sysrq-trigger
    if [ "$CORE" = 1 ]; then
        say core
        read -t 120 line
    fi
fi
dmesg -r > /tmp/dmesg
tail -n 300 /tmp/said.* > /tmp/workload
send workload /tmp/workload
send dmesg /tmp/dmesg
send vmstat /proc/vmstat
send buddyinfo /proc/buddyinfo
send meminfo /proc/meminfo
send slabinfo /proc/slabinfo
send modules /proc/modules
[ -r /proc/config.gz ] && zcat /proc/config.gz > /tmp/config && send config /tmp/config
say done
sync
echo o > /proc/sysrq-trigger
poweroff -f
sleep 30
