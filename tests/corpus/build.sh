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
# Needs: gcc-12, and aarch64-linux-gnu-gcc-12 (Debian: gcc-12-aarch64-linux-gnu).
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
	arch=$1 name=$1-$2
	shift 2
	case $arch in
	x86_64) tools= cc=gcc-12 ;;
	arm64) tools=aarch64-linux-gnu- cc=aarch64-linux-gnu-gcc-12 ;;
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
	(cd "$scratch/$name" && "${tools}ld" -r -o "$out/$name.o" ./*.o)
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
user="-fno-stack-protector"

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
}

{
	echo "What tests/corpus/build.sh made these files with, and from which options."
	echo
	gcc-12 --version | head -n 1
	aarch64-linux-gnu-gcc-12 --version | head -n 1
	ld --version | head -n 1
	echo
	cat "$scratch/FLAVOURS"
} >"$out/VERSIONS"
