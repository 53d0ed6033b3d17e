#!/bin/sh -e
# Records the texts and figures beside this script: ARCH-CASE.txt is what objdump prints of a file
# that is compiled from the sources here, ARCH-CASE.su what its compiler says of the same functions.
# The compilers are those of Debian 12, loongarch64's of Debian 13, and for nios2 GCC 12.2 and
# binutils 2.40 as released. Arguments: the names to record (all that can be).
cd "$(dirname "$0")"
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wanted=" $* "
stubs=

# object NAME COMPILER OBJDUMP SOURCE FLAG...: an object file, not linked.
# linked NAME COMPILER OBJDUMP SOURCE FLAG...: an executable, with stubs for what is called.
object() { make object "$@"; }
linked() { make linked "$@"; }
make() {
    kind=$1 name=$2 compiler=$3 objdump=$4 source=$5
    shift 5
    case $wanted in *" $name "* | "  ") ;; *) return ;; esac
    command -v "$compiler" >/dev/null || { echo "no $compiler: $name" >&2; return; }
    cp "$source.c" stubs.c "$work"
    (
        cd "$work"
        "$compiler" -ffreestanding -fno-pic -fstack-usage "$@" -c "$source.c" -o "$source.o"
        if [ "$kind" = linked ]; then
            # shellcheck disable=SC2086  # flags of the architecture, for the stubs alone
            "$compiler" -ffreestanding -fno-pic -O2 $stubs -c stubs.c -o stubs.o
            "$compiler" -nostdlib -no-pie -static "$source.o" stubs.o -o linked
        fi
        file=$source.o
        [ "$kind" = object ] || file=linked
        "$objdump" -d "$file" >"$here/$name.txt"
        # Only the name of a function, its bytes and their kind.
        sed 's/^.*:\([^:\t]*\t\)/\1/' "$source.su" >"$here/$name.su"
    )
}

gnu() { # ARCH CASE TRIPLET FLAG...
    arch=$1 case=$2 triplet=$3
    shift 3
    object "$arch-$case" "$triplet-gcc" "$triplet-objdump" corpus "$@"
}

kernel="-fno-stack-protector -fno-stack-clash-protection"
gnu x86_64 corpus x86_64-linux-gnu -O2 $kernel -mno-red-zone -fcf-protection=none
gnu x86_64 O0 x86_64-linux-gnu -O0 $kernel -mno-red-zone -fcf-protection=none
gnu x86_64 clash x86_64-linux-gnu -O2 -fstack-clash-protection -mno-red-zone
object x86_64-cold x86_64-linux-gnu-gcc objdump cold -O2 $kernel -mno-red-zone
linked x86_64-coldlinked x86_64-linux-gnu-gcc objdump cold -O2 $kernel -mno-red-zone
object x86_64-llvm clang-14 llvm-objdump-14 corpus -O2 --target=x86_64-linux-gnu -mno-red-zone
gnu i386 corpus i686-linux-gnu -O2 $kernel -fcf-protection=none
gnu i386 pointer i686-linux-gnu -Os $kernel -fno-omit-frame-pointer -fcf-protection=none
gnu arm64 corpus aarch64-linux-gnu -O2 $kernel
gnu arm64 clash aarch64-linux-gnu -O2 -fstack-clash-protection
object arm64-llvm clang-14 llvm-objdump-14 corpus -O2 --target=aarch64-linux-gnu
gnu arm corpus arm-linux-gnueabi -O2 $kernel -marm
gnu arm apcs arm-linux-gnueabi -O2 $kernel -marm -mapcs-frame -fno-omit-frame-pointer
gnu arm thumb arm-linux-gnueabihf -O2 $kernel -mthumb
linked arm-profiled arm-linux-gnueabi-gcc arm-linux-gnueabi-objdump corpus -O2 $kernel -marm -pg
object arm-llvm clang-14 llvm-objdump-14 corpus -O2 --target=arm-linux-gnueabi
gnu m68k corpus m68k-linux-gnu -O2 $kernel
gnu mips corpus mips-linux-gnu -O2 $kernel -mno-abicalls
gnu mips64 corpus mips64el-linux-gnuabi64 -O2 $kernel -mno-abicalls
stubs=-mno-abicalls
linked mips-profiled mips-linux-gnu-gcc mips-linux-gnu-objdump corpus -O2 $kernel -mno-abicalls -pg
stubs=
object mips-llvm clang-14 llvm-objdump-14 corpus -O2 --target=mips-linux-gnu -mno-abicalls
gnu nios2 corpus nios2-elf -O2 $kernel
gnu openrisc corpus or1k-elf -O2 $kernel
gnu parisc corpus hppa-linux-gnu -O2 $kernel
gnu parisc64 corpus hppa64-linux-gnu -O2 $kernel
gnu powerpc corpus powerpc-linux-gnu -O2 $kernel
gnu ppc64le corpus powerpc64le-linux-gnu -O2 $kernel
object ppc64le-llvm clang-14 llvm-objdump-14 corpus -O2 --target=powerpc64le-linux-gnu
gnu s390x corpus s390x-linux-gnu -O2 $kernel
object s390x-llvm clang-14 llvm-objdump-14 corpus -O2 --target=s390x-linux-gnu
gnu sparc corpus sparc64-linux-gnu -O2 $kernel -m32
gnu sparc64 corpus sparc64-linux-gnu -O2 $kernel
gnu riscv64 corpus riscv64-linux-gnu -O2 $kernel
object riscv64-llvm clang-14 llvm-objdump-14 corpus -O2 --target=riscv64-linux-gnu
gnu loongarch64 corpus loongarch64-linux-gnu -O2 $kernel
