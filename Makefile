# SPDX-License-Identifier: GPL-2.0
#
# zram_rs: Linux's compressed RAM block device, in Rust.
#
# External build:  make -C <kernel build tree> M=$PWD
# In tree:         as drivers/block/zram_rs, with CONFIG_BLK_DEV_ZRAM_RS

ifneq ($(KBUILD_EXTMOD),)
obj-m := zram-rs.o
else
obj-$(CONFIG_BLK_DEV_ZRAM_RS) := zram-rs.o
endif

# A composite object cannot be named like one of its parts: the crate root is zram_rs.rs.
zram-rs-y := zram_rs.o bindings/helpers.o

# Where the crate finds the generated bindings, in both kinds of build.
export ZRAM_RS_OBJ := $(abspath $(obj))

ifeq ($(SRCARCH),um)
# Kbuild compiles Rust for UML as position-independent code, whose GOT relocations UML's module
# loader does not know.
rustflags-y += -Crelocation-model=static -Ccode-model=large
# In UML's own asm/io.h.
ccflags-y += -Wno-null-pointer-arithmetic
endif

bindgen_functions := zs_.* LZ4_compress_fast LZ4_decompress_safe lzo1x_1_compress \
	lzorle1x_1_compress lzo1x_decompress_safe zstd_get_params zstd_.*_workspace_bound \
	zstd_default_clevel zstd_init_[cd]ctx zstd_compress_cctx zstd_decompress_dctx zstd_is_error \
	__vmalloc_noprof vfree zram_rs_.*
bindgen_types := zs_pool zs_pool_stats zstd_[cd]ctx ZSTD_[CD]Ctx(_s)? (zstd|ZSTD)_.*[pP]arameters \
	zstd_strategy ZSTD_strategy
bindgen_vars := ZRAM_RS_.*

# bindgen parses with libclang whatever the kernel's compiler is: it gets the flags that decide what
# the headers say, none of those that decide how code is generated.
bindgen_target_x86 := x86_64-linux-gnu
bindgen_target_arm64 := aarch64-linux-gnu
bindgen_target_riscv := riscv64-linux-gnu
bindgen_target_loongarch := loongarch64-linux-gnusf
bindgen_target_um := $(bindgen_target_x86)
bindgen_c_flags = $(NOSTDINC_FLAGS) $(LINUXINCLUDE) -include $(srctree)/include/linux/compiler_types.h \
	$(filter -D% -I% -std=% -fms-extensions -fshort-wchar -funsigned-char -m64,$(KBUILD_CPPFLAGS) \
	$(KBUILD_CFLAGS)) -D__KERNEL__ -D__BINDGEN__ -DMODULE -I$(src)/bindings \
	-fno-builtin -w --target=$(bindgen_target_$(SRCARCH))

quiet_cmd_zram_rs_bindgen = BINDGEN $@
      cmd_zram_rs_bindgen = $(BINDGEN) $< --rust-target 1.85 --use-core --ctypes-prefix ffi \
	--no-layout-tests --no-doc-comments --no-recursive-allowlist --no-debug '.*' \
	--with-derive-default \
	$(foreach f,$(bindgen_functions),--allowlist-function '$f') \
	$(foreach t,$(bindgen_types),--allowlist-type '$t') \
	$(foreach v,$(bindgen_vars),--allowlist-var '$v') \
	-o $@ -- $(bindgen_c_flags)

$(obj)/bindings_generated.rs: $(src)/bindings/bindings_helper.h $(src)/bindings/helpers.h FORCE
	$(call if_changed,zram_rs_bindgen)

$(obj)/zram_rs.o: $(obj)/bindings_generated.rs

targets += bindings_generated.rs
clean-files := bindings_generated.rs
