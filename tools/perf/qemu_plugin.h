/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The functions of QEMU's interface for plugins, of version 4, that sharing_plugin.c uses.
 *
 * Debian has no package with QEMU's own header. The names of the functions are QEMU's, those of
 * types and parameters are ours.
 */

#ifndef ZRAM_PERF_QEMU_PLUGIN_H
#define ZRAM_PERF_QEMU_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

struct qemu_info_t;
struct tb;
struct insn;
struct hwaddr;
struct qemu_plugin_register;

enum { NO_REGS, READ_REGS };	/* what a callback does with registers */
enum { READ_WRITE = 3 };	/* which accesses call a callback */

typedef uint64_t plugin_id;
typedef void done_fn(plugin_id id);
typedef void translated_fn(plugin_id id, struct tb *tb);
typedef void executed_fn(unsigned int cpu, void *data);
typedef void accessed_fn(unsigned int cpu, uint32_t info, uint64_t address, void *data);

/* What a plugin has. */
extern EXPORT int qemu_plugin_version;
EXPORT int qemu_plugin_install(plugin_id id, const struct qemu_info_t *info, int argc, char **argv);

/* Unregisters all callbacks, has QEMU translate everything again, and calls @done. */
void qemu_plugin_reset(plugin_id id, done_fn *done);

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, translated_fn *translated);
void qemu_plugin_register_vcpu_insn_exec_cb(struct insn *insn, executed_fn *executed, int registers,
					    void *data);
void qemu_plugin_register_vcpu_mem_cb(struct insn *insn, accessed_fn *accessed, int registers,
				      int which, void *data);

void qemu_plugin_register_vcpu_tb_exec_cb(struct tb *tb, executed_fn *executed, int registers,
					  void *data);

size_t qemu_plugin_tb_n_insns(const struct tb *tb);
struct insn *qemu_plugin_tb_get_insn(const struct tb *tb, size_t number);
size_t qemu_plugin_insn_data(const struct insn *insn, void *to, size_t size);
uint64_t qemu_plugin_insn_vaddr(const struct insn *insn);

bool qemu_plugin_mem_is_store(uint32_t info);
struct hwaddr *qemu_plugin_get_hwaddr(uint32_t info, uint64_t address);
bool qemu_plugin_hwaddr_is_io(const struct hwaddr *where);
uint64_t qemu_plugin_hwaddr_phys_addr(const struct hwaddr *where);

/* GArray and GByteArray of GLib, which is a part of each QEMU. */
struct array {
	char *data;
	unsigned int len;
};

struct byte_array {
	uint8_t *data;
	unsigned int len;
};

struct byte_array *g_byte_array_new(void);
struct byte_array *g_byte_array_set_size(struct byte_array *array, unsigned int size);

struct register_entry {
	struct qemu_plugin_register *handle;
	const char *name, *feature;
};

/* Returns an array of register_entry. */
struct array *qemu_plugin_get_registers(void);
/* Appends a register of the CPU that runs to @to, and returns its size. */
int qemu_plugin_read_register(struct qemu_plugin_register *which, struct byte_array *to);

#endif
