# SPDX-License-Identifier: GPL-2.0
#
# zram_rs: Linux's compressed RAM block device, in Rust.
#
# External build:  make -C <kernel build tree> M=$PWD
# In tree:         as drivers/block/zram_rs, with CONFIG_BLK_DEV_ZRAM_RS

# The algorithms and the default algorithm. An external build takes the algorithms that the kernel has,
# and the default of C zram; an in-tree build takes the choices of Kconfig.
ifneq ($(KBUILD_EXTMOD),)
obj-m := zram-rs.o

zram_rs_if = $(if $(and $(CONFIG_$(2)),$(CONFIG_$(3))),$(1))
zram_rs_cfg-y := $(call zram_rs_if,lzo,LZO_COMPRESS,LZO_DECOMPRESS) \
	$(call zram_rs_if,lz4,LZ4_COMPRESS,LZ4_DECOMPRESS) \
	$(call zram_rs_if,lz4hc,LZ4HC_COMPRESS,LZ4_DECOMPRESS) \
	$(call zram_rs_if,zstd,ZSTD_COMPRESS,ZSTD_DECOMPRESS) \
	$(call zram_rs_if,deflate,ZLIB_DEFLATE,ZLIB_INFLATE) \
	$(call zram_rs_if,842,842_COMPRESS,842_DECOMPRESS) \
	default_$(subst -,,$(subst ",,$(CONFIG_ZRAM_DEF_COMP)))
# For tests only: blocks smaller than pages, as on machines with large pages, and minimal reserves.
zram_rs_cfg-$(if $(ZRAM_RS_SMALL_BLOCKS),y) += small_blocks
# For tests only: the examples in documentation comments, as examples_generated.rs.
zram_rs_cfg-$(if $(ZRAM_RS_EXAMPLES),y) += examples
# What an older kernel lacks, if the source of its kernel crate is there: abstractions/compat.rs has it.
zram_rs_no = $(if $(shell grep -s "$(2)" $(addprefix $(srctree)/,$(3))),,$(1))
ifneq ($(wildcard $(srctree)/rust/kernel/lib.rs),)
zram_rs_no_cfg := $(call zram_rs_no,no_eopnotsupp,EOPNOTSUPP,rust/kernel/error.rs) \
	$(call zram_rs_no,no_zeroed,fn zeroed,rust/kernel/alloc/kvec.rs) \
	$(call zram_rs_no,no_this_module,const THIS_MODULE:,rust/kernel/module.rs) \
	$(call zram_rs_no,no_bi_offset,bi_offset,include/linux/bvec.h)
zram_rs_cfg-y += $(if $(strip $(zram_rs_no_cfg)),compat $(zram_rs_no_cfg))
endif
else
obj-$(CONFIG_BLK_DEV_ZRAM_RS) := zram-rs.o

zram_rs_cfg-$(CONFIG_BLK_DEV_ZRAM_RS_LZO) += lzo
zram_rs_cfg-$(CONFIG_BLK_DEV_ZRAM_RS_LZ4) += lz4
zram_rs_cfg-$(CONFIG_BLK_DEV_ZRAM_RS_LZ4HC) += lz4hc
zram_rs_cfg-$(CONFIG_BLK_DEV_ZRAM_RS_ZSTD) += zstd
zram_rs_cfg-$(CONFIG_BLK_DEV_ZRAM_RS_DEFLATE) += deflate
zram_rs_cfg-$(CONFIG_BLK_DEV_ZRAM_RS_842) += 842
zram_rs_cfg-$(CONFIG_BLK_DEV_ZRAM_RS_DEF_LZORLE) += default_lzorle
zram_rs_cfg-$(CONFIG_BLK_DEV_ZRAM_RS_DEF_LZO) += default_lzo
zram_rs_cfg-$(CONFIG_BLK_DEV_ZRAM_RS_DEF_LZ4) += default_lz4
zram_rs_cfg-$(CONFIG_BLK_DEV_ZRAM_RS_DEF_LZ4HC) += default_lz4hc
zram_rs_cfg-$(CONFIG_BLK_DEV_ZRAM_RS_DEF_ZSTD) += default_zstd
zram_rs_cfg-$(CONFIG_BLK_DEV_ZRAM_RS_DEF_DEFLATE) += default_deflate
zram_rs_cfg-$(CONFIG_BLK_DEV_ZRAM_RS_DEF_842) += default_842
endif
rustflags-y += $(addprefix --cfg=zram_rs_,$(zram_rs_cfg-y))

# The composite object is zram-rs because one of its parts, the crate root, is zram_rs.
zram-rs-y := zram_rs.o bindings/helpers.o bindings/trace.o

# define_trace.h includes the header of the tracepoints by its name.
CFLAGS_bindings/trace.o := -I$(src)/bindings

# The directory of the generated bindings, for the crate, in both kinds of build.
export ZRAM_RS_OBJ := $(abspath $(obj))

ifeq ($(SRCARCH),um)
# Kbuild compiles Rust for UML as position-independent code, but UML's module loader does not support
# GOT relocations. A built-in driver is linked with the kernel and keeps Kbuild's flags.
ifneq ($(obj-m),)
rustflags-y += -Crelocation-model=static -Ccode-model=large
endif
# For a warning in asm/io.h of UML.
ccflags-y += -Wno-null-pointer-arithmetic
endif

bindgen_functions := zs_.* LZ4_compress_(fast|HC)(_continue)? LZ4_decompress_safe(_usingDict)? \
	LZ4_loadDict(HC)? LZ4_resetStreamHC lzo(rle)?1x_1_compress(_safe)? \
	lzo1x_decompress_safe sw842_.* zlib_(de|in)flate(Init2|Reset|_workspacesize)? \
	zstd_get_c?params zstd_[cd]ctx_workspace_bound zstd_(default|min|max)_clevel \
	zstd_init_[cd]ctx zstd_compress_(cctx|using_cdict) zstd_decompress_(dctx|using_ddict) \
	zstd_(create|free)_[cd]dict(_byreference)? zstd_is_error zstd_get_error_code \
	kernel_read_file_from_path __vmalloc_noprof vfree mempool_(destroy|free) zram_rs_.* \
	rust_do_trace_zram_.*
bindgen_types := zs_pool zs_pool_stats LZ4_stream(HC)?_t z_stream(_s|p)? Byte uLong internal_state \
	(zstd|ZSTD)_[cdCD](ctx|Ctx|dict|Dict)(_s)? (zstd|ZSTD)_.*[pP]arameters (zstd|ZSTD)_strategy \
	(zstd|ZSTD)_custom_?[mM]em ZSTD_(alloc|free)Function (zstd_error_code|ZSTD_ErrorCode) \
	kernel_read_file_id mempool(_t)?
bindgen_opaque := LZ4_stream(HC)?_t
bindgen_vars := ZRAM_RS_.* LZ4_ACCELERATION_DEFAULT LZ4HC_.*_CLEVEL SW842_MEM_COMPRESS Z_[A-Z_]* \
	MAX_MEM_LEVEL __tracepoint_zram_.*

# bindgen parses with libclang, even if the kernel's compiler is GCC: it gets the flags that affect
# the contents of headers, but none that affect code generation.
bindgen_target_x86 := x86_64-linux-gnu
bindgen_target_arm64 := aarch64-linux-gnu
bindgen_target_riscv := riscv64-linux-gnu
bindgen_target_loongarch := loongarch64-linux-gnusf
bindgen_target_powerpc := powerpc64le-linux-gnu
bindgen_target_s390 := s390x-linux-gnu
bindgen_target_um := $(bindgen_target_x86)
bindgen_c_flags = $(NOSTDINC_FLAGS) $(LINUXINCLUDE) -include $(srctree)/include/linux/compiler_types.h \
	$(filter -D% -I% -isystem% -std=% -fms-extensions -fshort-wchar -funsigned-char -m64,$(KBUILD_CPPFLAGS) \
	$(subst -isystem ,-isystem,$(KBUILD_CFLAGS))) -D__KERNEL__ -D__BINDGEN__ -DMODULE -DKBUILD_MODNAME='"zram_rs"' -I$(src)/bindings \
	-fno-builtin -w --target=$(bindgen_target_$(SRCARCH))

quiet_cmd_zram_rs_bindgen = BINDGEN $@
      cmd_zram_rs_bindgen = $(BINDGEN) $< --rust-target 1.85 --use-core --ctypes-prefix ffi \
	--no-layout-tests --no-doc-comments --no-recursive-allowlist --no-debug '.*' \
	--with-derive-default \
	$(foreach f,$(bindgen_functions),--allowlist-function '$f') \
	$(foreach t,$(bindgen_types),--allowlist-type '$t') \
	$(foreach t,$(bindgen_opaque),--opaque-type '$t') \
	$(foreach v,$(bindgen_vars),--allowlist-var '$v') \
	-o $@ -- $(bindgen_c_flags)

$(obj)/bindings_generated.rs: $(src)/bindings/bindings_helper.h $(src)/bindings/helpers.h \
		$(src)/bindings/zram_rs_trace.h FORCE
	$(call if_changed,zram_rs_bindgen)

$(obj)/zram_rs.o: $(obj)/bindings_generated.rs

targets += bindings_generated.rs
clean-files := bindings_generated.rs
