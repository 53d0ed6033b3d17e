#!/bin/sh
# Compile the corpus: one relocatable object a flavour, with the .su lines GCC wrote for it.
#
# A flavour is an architecture and a set of options. Each of src/*.c is compiled on its own (into
# a scratch folder) and the lot joined by `ld -r`, so that the fixtures stay few and small.
# A source may begin with comments:
#   /* only: ARCH */        compile it for that architecture alone
#   /* flags: ... */        more options, after the flavour's
#   /* flags-ARCH: ... */   the same for one architecture
#
# Usage: build.sh [FOLDER]   (default: objects, beside this script)
# Needs: gcc-12, and the same for aarch64-linux-gnu, arm-linux-gnueabihf, mips-linux-gnu,
# mips64el-linux-gnuabi64, powerpc-linux-gnu, powerpc64-linux-gnu, powerpc64le-linux-gnu,
# s390x-linux-gnu and riscv64-linux-gnu (Debian: gcc-12-...), and loongarch64-linux-gnu-gcc-14
# (Debian 13).
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
	x86_64) tools= cc=gcc-12 ;;
	arm64) tools=aarch64-linux-gnu- cc=aarch64-linux-gnu-gcc-12 ;;
	arm) tools=arm-linux-gnueabihf- cc=arm-linux-gnueabihf-gcc-12 ;;
	mips) tools=mips-linux-gnu- cc=mips-linux-gnu-gcc-12 ;;
	mips64el) tools=mips64el-linux-gnuabi64- cc=mips64el-linux-gnuabi64-gcc-12 ;;
	s390x) tools=s390x-linux-gnu- cc=s390x-linux-gnu-gcc-12 ;;
	riscv64) tools=riscv64-linux-gnu- cc=riscv64-linux-gnu-gcc-12 ;;
	riscv32) tools=riscv64-linux-gnu- cc=riscv64-linux-gnu-gcc-12 ld="-m elf32lriscv" ;;
	loongarch64) tools=loongarch64-linux-gnu- cc=loongarch64-linux-gnu-gcc-14 ;;
	powerpc*) tools=$arch-linux-gnu- cc=$arch-linux-gnu-gcc-12 ;;
	esac
	rm -rf "$scratch/$name"
	mkdir "$scratch/$name"
	for source in *.c; do
		only=$(option only "$source")
		[ -z "$only" ] || [ "$only" = "$arch" ] || continue
		# shellcheck disable=SC2046  # options are words
		$cc -std=gnu11 -fstack-usage -w -ffile-prefix-map="$PWD"=. "$@" \
			$(option flags "$source") $(option "flags-$arch" "$source") \
			-c "$source" -o "$scratch/$name/${source%.c}.o"
	done
	cat "$scratch/$name"/*.su >"$out/$name.su"
	(cd "$scratch/$name" && "${tools}ld" $ld -r -o "$out/$name.o" ./*.o)
	# Line tables and call frame information stay, the rest of -g goes.
	"${tools}objcopy" --strip-debug --keep-section=.debug_frame --keep-section=.debug_line \
		--keep-section=.debug_line_str --keep-section=.rela.debug_frame "$out/$name.o"
	echo "$name:" $cc "$@" >>"$scratch/FLAVOURS"
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
user="-fno-stack-protector"

# shellcheck disable=SC2086  # the variables hold words
{
	# As the kernel is built: no call frame information, no red zone.
	# The same without .eh_frame.

	flavour s390x kernel-O2 $s390_kernel -O2
	flavour s390x kernel-Os $s390_kernel -Os
	flavour s390x kernel-O0 $s390_kernel -O0
	flavour s390x user-O2 $user -O2 -fno-asynchronous-unwind-tables
	flavour s390x user-O2-cfi $user -O2 -fasynchronous-unwind-tables

	flavour riscv64 kernel-O2 $riscv_kernel $rv64 -O2
	flavour riscv64 kernel-Os $riscv_kernel $rv64 -Os
	flavour riscv64 user-O0 $user -O0 -fno-asynchronous-unwind-tables
	flavour riscv64 user-O2-cfi $user -O2 -fasynchronous-unwind-tables
	flavour riscv32 kernel-O2 $riscv_kernel $rv32 -O2

	flavour loongarch64 kernel-O2 $loongarch_kernel -O2
	flavour loongarch64 kernel-Os $loongarch_kernel -Os
	flavour loongarch64 user-O0 $user -O0 -fno-asynchronous-unwind-tables
	flavour loongarch64 user-O2-cfi $user -O2 -fasynchronous-unwind-tables
}

{
	echo "What tests/corpus/build.sh made these files with, and from which options."
	echo
	gcc-12 --version | head -n 1
	aarch64-linux-gnu-gcc-12 --version | head -n 1
	for tools in arm-linux-gnueabihf mips-linux-gnu mips64el-linux-gnuabi64 powerpc-linux-gnu \
		powerpc64-linux-gnu powerpc64le-linux-gnu s390x-linux-gnu riscv64-linux-gnu; do
		$tools-gcc-12 --version | head -n 1
	done
	loongarch64-linux-gnu-gcc-14 --version | head -n 1
	ld --version | head -n 1
	echo
	cat "$scratch/FLAVOURS"
} >"$out/VERSIONS"
