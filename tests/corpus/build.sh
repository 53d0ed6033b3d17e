#!/bin/sh
# Compile the corpus: one relocatable object a flavour, with the .su lines that its compiler wrote.
#
# A flavour is an architecture and a set of options. Each of src/*.c is compiled on its own (into
# a scratch folder) and the lot joined by `ld -r`, so that the fixtures stay few and small.
# A source may begin with comments:
#   /* only: ARCH */        compile it for that architecture alone
#   /* flags: ... */        more options, after the flavour's
#   /* flags-ARCH: ... */   the same for GCC and one architecture
#   /* not: COMPILER */      not by that one: gcc or clang
#
# Usage: build.sh [FOLDER]   (default: objects, beside this script)
# Needs: Debian 12's gcc-12, every gcc-12-TRIPLET of an architecture that is measured, clang-14, and
# Debian 13's gcc-14-loongarch64-linux-gnu.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/objects}
mkdir -p "$out"
out=$(cd "$out" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$here/src"

option() { # option NAME SOURCE: the value of the comment of that name
	sed -n "s|^/\\* $1: \\(.*\\) \\*/\$|\\1|p" "$2"
}

flavour() { # flavour ARCH NAME OPTIONS...
	arch=$1 name=$1-$2 ld=
	shift 2
	case $arch in
	x86_64) tools=x86_64-linux-gnu- ;;
	i386) tools=i686-linux-gnu- ;;
	arm64) tools=aarch64-linux-gnu- ;;
	arm) tools=arm-linux-gnueabihf- ;;
	armel) tools=arm-linux-gnueabi- ;;
	mips64 | mips64el) tools=$arch-linux-gnuabi64- ;;
	mips32r6*) tools=mipsisa$(echo "$arch" | cut -c 5-)-linux-gnu- ;;
	mips64r6*) tools=mipsisa$(echo "$arch" | cut -c 5-)-linux-gnuabi64- ;;
	riscv32) tools=riscv64-linux-gnu- ld="-m elf32lriscv" ;;
	*) tools=$arch-linux-gnu- ;;
	esac
	case $name in
	riscv32-clang-*) compiler=clang cc="clang-14 --target=riscv32-linux-gnu" ;;
	*-clang-*) compiler=clang cc="clang-14 --target=${tools%-}" ;;
	loongarch64-*) compiler=gcc cc=${tools}gcc-14 ;;
	*) compiler=gcc cc=${tools}gcc-12 ;;
	esac
	rm -rf "$scratch/$name"
	mkdir "$scratch/$name"
	for source in *.c; do
		only=$(option only "$source")
		[ -z "$only" ] || [ "$only" = "$arch" ] || continue
		own=
		case $compiler in
		gcc) own=$(option "flags-$arch" "$source") ;;
		clang) [ "$(option not "$source")" != clang ] || continue ;;
		esac
		# shellcheck disable=SC2046,SC2086  # options are words
		$cc -std=gnu11 -fstack-usage -w -ffile-prefix-map="$PWD"=. "$@" \
			$(option flags "$source") $own -c "$source" -o "$scratch/$name/${source%.c}.o"
	done
	cat "$scratch/$name"/*.su >"$out/$name.su"
	(cd "$scratch/$name" && "${tools}ld" $ld -r -o "$out/$name.o" ./*.o)
	# Line tables and call frame information stay, the rest of -g goes.
	"${tools}objcopy" --strip-debug --keep-section=.debug_frame --keep-section=.debug_line \
		--keep-section=.debug_line_str --keep-section=.rela.debug_frame "$out/$name.o"
	echo "$name: $cc" "$@" >>"$scratch/FLAVOURS"
	$cc --version | head -n 1 >>"$scratch/COMPILERS"
}

levels() { # levels ARCH NAME OPTIONS...: unoptimised, for speed and for size
	arch=$1 kind=$2
	shift 2
	for level in O0 O2 Os; do
		flavour "$arch" "$kind-$level" "$@" "-$level"
	done
}

x86_kernel="-ffreestanding -fno-PIE -mcmodel=kernel -m64 -mno-sse -mno-mmx -mno-80387
	-mpreferred-stack-boundary=3 -mskip-rax-setup -mno-red-zone -fno-strict-aliasing
	-fno-asynchronous-unwind-tables -fno-stack-protector -fcf-protection=none"
x86_mitigated="-mindirect-branch=thunk-extern -mindirect-branch-register
	-mfunction-return=thunk-extern -fno-jump-tables -pg -mfentry"
arm_kernel="-ffreestanding -fno-PIE -mgeneral-regs-only -mno-outline-atomics
	-fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fno-unwind-tables
	-fno-stack-protector"
arm_mitigated="-mbranch-protection=pac-ret+leaf+bti -fpatchable-function-entry=4,2"
a32_kernel="-marm -march=armv7-a -mfloat-abi=soft -ffreestanding -fno-PIE -fno-dwarf2-cfi-asm
	-funwind-tables -fno-stack-protector"
t32_kernel="-mthumb -march=armv7-a -mfloat-abi=soft -ffreestanding -fno-PIE -fno-dwarf2-cfi-asm
	-funwind-tables -fno-stack-protector"
mips_kernel="-ffreestanding -fno-pic -mno-abicalls -G0 -msoft-float -fno-stack-protector
	-fno-asynchronous-unwind-tables -fno-unwind-tables"
powerpc_kernel="-ffreestanding -fno-pic -msoft-float -mno-altivec -mno-vsx
	-fno-asynchronous-unwind-tables -fno-unwind-tables -fno-stack-protector"
s390_kernel="-ffreestanding -fno-pic -mbackchain -msoft-float -mpacked-stack -march=z13
	-fno-asynchronous-unwind-tables -fno-unwind-tables -fno-stack-protector"
riscv_kernel="-ffreestanding -fno-pic -mcmodel=medany -fno-omit-frame-pointer -mno-save-restore
	-fno-asynchronous-unwind-tables -fno-unwind-tables -fno-stack-protector"
rv64="-march=rv64imac -mabi=lp64" rv32="-march=rv32imac -mabi=ilp32"
loongarch_kernel="-ffreestanding -fno-pic -msoft-float -mno-lsx
	-fno-asynchronous-unwind-tables -fno-unwind-tables -fno-stack-protector"
i386_kernel="-ffreestanding -fno-PIE -mregparm=3 -mpreferred-stack-boundary=2 -mno-sse -mno-mmx
	-mno-80387 -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fno-stack-protector
	-fcf-protection=none"
user="-fno-stack-protector"
plain="$user -fno-asynchronous-unwind-tables -fno-unwind-tables"
clang="$plain -ffreestanding -fno-pic"

# shellcheck disable=SC2086  # the variables hold words
{
	# As the kernel is built: no call frame information, no red zone.
	flavour x86_64 kernel-O2 $x86_kernel -O2
	flavour x86_64 kernel-Os $x86_kernel -Os
	flavour x86_64 kernel-O0 $x86_kernel -O0
	flavour x86_64 kernel-O2-sections $x86_kernel -O2 -ffunction-sections -fconserve-stack
	flavour x86_64 kernel-O2-mitigated $x86_kernel $x86_mitigated -O2
	# The same with .debug_frame.
	flavour x86_64 kernel-O2-cfi $x86_kernel -O2 -g1
	# As a program is built: .eh_frame, a red zone.
	flavour x86_64 user-O2 $user -O2
	flavour x86_64 user-Os $user -Os
	flavour x86_64 user-O0 $user -O0
	flavour x86_64 user-O2-hardened $user -O2 -fno-omit-frame-pointer \
		-fstack-clash-protection -fcf-protection=full
	# The same without .eh_frame.
	flavour x86_64 user-O2-nocfi $user -O2 -fno-asynchronous-unwind-tables

	levels i386 kernel $i386_kernel
	flavour i386 kernel-O2-cfi $i386_kernel -fomit-frame-pointer -O2 -g1
	flavour i386 user-O2 $user -O2

	flavour arm64 kernel-O2 $arm_kernel -O2
	flavour arm64 kernel-Os $arm_kernel -Os
	flavour arm64 kernel-O0 $arm_kernel -O0
	flavour arm64 kernel-O2-sections $arm_kernel -O2 -ffunction-sections -fconserve-stack
	flavour arm64 kernel-O2-mitigated $arm_kernel $arm_mitigated -O2
	flavour arm64 kernel-O2-scs $arm_kernel -ffixed-x18 -fsanitize=shadow-call-stack -O2
	flavour arm64 kernel-O2-cfi $arm_kernel -O2 -g1
	flavour arm64 user-O2 $user -O2
	flavour arm64 user-Os $user -Os -fomit-frame-pointer
	flavour arm64 user-O0 $user -O0
	flavour arm64 user-O2-hardened $user -O2 -fstack-clash-protection \
		-mbranch-protection=standard
	flavour arm64 user-O2-nocfi $user -O2 -fno-asynchronous-unwind-tables -fno-unwind-tables

	# With exception tables, which are the kernel's own.
	flavour arm kernel-O2 $a32_kernel -O2
	flavour arm kernel-Os $a32_kernel -Os
	flavour arm kernel-O0 $a32_kernel -O0
	flavour arm kernel-O2-cfi $a32_kernel -O2 -g1
	flavour arm kernel-O2-mcount $a32_kernel -O2 -pg
	flavour arm kernel-O2-apcs $a32_kernel -O2 -mapcs -mno-sched-prolog -fno-omit-frame-pointer
	flavour arm kernel-O2-v5 $a32_kernel -O2 -march=armv5te -mtune=xscale
	flavour arm thumb-O2 $t32_kernel -O2
	flavour arm thumb-Os $t32_kernel -Os
	flavour arm thumb-O0 $t32_kernel -O0
	flavour arm thumb-O2-cfi $t32_kernel -O2 -g1
	flavour arm thumb-O2-mcount $t32_kernel -O2 -pg
	levels armel kernel $a32_kernel -march=armv5te
	flavour arm user-O2-hardened $user -O2 -fno-omit-frame-pointer -fstack-clash-protection

	flavour mips kernel-O2 $mips_kernel -O2
	flavour mips kernel-Os $mips_kernel -Os
	flavour mips kernel-O0 $mips_kernel -O0
	flavour mips kernel-O2-mcount $mips_kernel -O2 -pg -mmcount-ra-address
	flavour mips kernel-O2-likely $mips_kernel -O2 -march=r4000 -mbranch-likely
	flavour mips kernel-O2-r6 $mips_kernel -O2 -march=mips32r6
	flavour mips user-O2-cfi $user -O2 -fasynchronous-unwind-tables
	flavour mips64el kernel-O2 $mips_kernel -O2 -msym32
	flavour mips64el kernel-Os-octeon $mips_kernel -Os -msym32 -march=octeon
	flavour mips64el user-O0 $user -O0

	# As a program is built: position-independent, with a pointer to the global offset table.
	for arch in mipsel mips64 mips32r6 mips32r6el mips64r6 mips64r6el; do
		levels $arch user $plain
	done

	flavour powerpc kernel-O2 $powerpc_kernel -O2
	flavour powerpc kernel-Os $powerpc_kernel -Os
	flavour powerpc user-O0 $user -O0 -fno-asynchronous-unwind-tables
	flavour powerpc64 kernel-O2 $powerpc_kernel -O2
	flavour powerpc64 kernel-O0 $powerpc_kernel -O0
	flavour powerpc64 kernel-Os $powerpc_kernel -Os
	flavour powerpc64le kernel-O2 $powerpc_kernel -O2 -pg -mprofile-kernel
	flavour powerpc64le kernel-Os $powerpc_kernel -Os
	flavour powerpc64le user-O0 $plain -O0
	flavour powerpc64le user-O2-cfi $user -O2 -fasynchronous-unwind-tables
	flavour powerpc64le user-O2-power10 $user -O2 -mcpu=power10 -fno-asynchronous-unwind-tables

	flavour s390x kernel-O2 $s390_kernel -O2
	flavour s390x kernel-Os $s390_kernel -Os
	flavour s390x kernel-O0 $s390_kernel -O0
	flavour s390x user-O2 $user -O2 -fno-asynchronous-unwind-tables
	flavour s390x user-O2-cfi $user -O2 -fasynchronous-unwind-tables

	flavour riscv64 kernel-O2 $riscv_kernel $rv64 -O2
	flavour riscv64 kernel-Os $riscv_kernel $rv64 -Os
	flavour riscv64 user-O0 $user -O0 -fno-asynchronous-unwind-tables
	flavour riscv64 user-O2-cfi $user -O2 -fasynchronous-unwind-tables
	levels riscv32 kernel $riscv_kernel $rv32

	flavour loongarch64 kernel-O2 $loongarch_kernel -O2
	flavour loongarch64 kernel-Os $loongarch_kernel -Os
	flavour loongarch64 user-O0 $user -O0 -fno-asynchronous-unwind-tables
	flavour loongarch64 user-O2-cfi $user -O2 -fasynchronous-unwind-tables

	levels x86_64 clang $clang -mno-red-zone
	levels arm64 clang $clang -fno-omit-frame-pointer
	levels arm clang-thumb $clang -mthumb -march=armv7-a
	levels riscv32 clang $clang $rv32
	for arch in i386 arm mips mips64el powerpc powerpc64 powerpc64le s390x riscv64; do
		levels $arch clang $clang
	done
}

{
	echo "What tests/corpus/build.sh made these files with, and from which options."
	echo
	sort -u "$scratch/COMPILERS"
	ld --version | head -n 1
	echo
	cat "$scratch/FLAVOURS"
} >"$out/VERSIONS"
