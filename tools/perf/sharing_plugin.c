// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin of QEMU that records the memory accesses of a guest's kernel, for tools/perf/sharing.
 *
 * arguments: out=FILE,symbols=FILE,cpus=N,requests=N
 *
 * The program "parallel" in the guest marks what is recorded, by instructions without an effect:
 * START once, and BEGIN and END around each request of a job. Each job has a CPU. Before START the
 * plugin only looks for marks, so that the guest boots fast. After START each CPU records as many
 * requests, beginning with the next one. When all of them have, the plugin writes OUT and renames
 * it to its name, and the guest may be killed.
 *
 * QEMU runs one CPU at a time here (thread=single), and goes on with another one only between
 * blocks of instructions. The numbers of CPUs that it passes to callbacks are then wrong (10.0:
 * that of the CPU for which it translated the block), so the plugin looks at the base of the CPU's
 * own memory, in GS or, in user mode, in what SWAPGS exchanges it with.
 *
 * Interrupts of timers and devices are left out, until they return: QEMU's clock counts the
 * instructions of all CPUs, so that timers interrupt each page several times. SYMBOLS, which has to
 * be complete at START, has the addresses of their entries, in lines "symbol ADDRESS NAME".
 *
 * Accesses to a line that follow each other within NEAR accesses count as one: another CPU needs
 * about as long to get the line. An instruction with a lock counts as a store.
 *
 * OUT has a struct header, and a struct entry for each access to a line that several CPUs have
 * accessed and at least one has changed, by CPU and then in the order of time. sharing_report.py
 * reads it.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "qemu_plugin.h"

EXPORT int qemu_plugin_version = 4;

/* --- What is recorded ------------------------------------------------------------------------ */

#define MAX_CPUS	64
#define MAX_REQUESTS	1024
#define CAPACITY	(1UL << 25)	/* records of a CPU */
#define NEAR		64
#define RECENT		256		/* lines that a CPU remembers */
#define LINE_SHIFT	6
#define LINES		(1UL << 28)	/* of 16 GiB */
#define KERNEL		0xffffffff80000000UL

/* The displacements of the instructions that are marks; parallel.c has them, too. */
enum mark { START = 0x5a524d01, BEGIN, END };

struct record {
	uint64_t address : 48;
	uint64_t passed : 15;		/* accesses since the record before */
	uint64_t is_store : 1;
	uint32_t code : 31;		/* the address of the instruction, from KERNEL on */
	uint32_t is_percpu : 1;		/* by the segment of the CPU */
	uint32_t line;
};

struct recent {
	uint32_t line;
	bool is_store;
	uint64_t at;
};

static struct cpu {
	uint64_t base;			/* of its memory */
	struct record *records;
	uint64_t count;			/* records */
	uint64_t now, recorded_at;	/* in accesses */
	bool is_recording, in_interrupt, is_done;
	uint32_t requests;
	uint64_t first[MAX_REQUESTS + 1];	/* record of a request */
	uint64_t began[MAX_REQUESTS + 1], ended[MAX_REQUESTS];	/* in accesses */
	struct recent recent[RECENT];
} cpus[MAX_CPUS];

static struct cpu *current;		/* NULL: one that does not record */
static unsigned int cpu_count, known_count, request_count, done_count;
static bool is_started;
static uint64_t timer, device;		/* where their interrupts begin */
static const char *out_path, *symbols_path;

struct header {
	char magic[8];
	uint32_t cpus, requests;
	uint64_t accesses, records;
};

#define IS_A_STORE	1
#define IS_PERCPU	2

struct entry {
	uint64_t code, address;
	uint32_t line;
	uint32_t part;			/* of the request, in 2^-32 */
	uint32_t request;
	uint16_t cpu, flags;
};

static void fail(const char *what)
{
	fprintf(stderr, "sharing_plugin: %s\n", what);
	exit(1);
}

static void *reserve(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		fail("there is no memory");
	return memory;
}

/* --- Registers ------------------------------------------------------------------------------- */

#define KERNEL_HALF	(1UL << 63)

static struct qemu_plugin_register *gs_base, *kernel_gs_base;

static void find_registers(void)
{
	struct array *all = qemu_plugin_get_registers();
	const struct register_entry *entries = (void *)all->data;

	for (unsigned int i = 0; i < all->len; i++) {
		if (!strcmp(entries[i].name, "gs_base"))
			gs_base = entries[i].handle;
		else if (!strcmp(entries[i].name, "k_gs_base"))
			kernel_gs_base = entries[i].handle;
	}
	if (!gs_base || !kernel_gs_base)
		fail("QEMU does not tell the registers gs_base and k_gs_base");
}

static uint64_t read_register(struct qemu_plugin_register *which)
{
	static struct byte_array *bytes;
	uint64_t value = 0;

	if (!bytes)
		bytes = g_byte_array_new();
	g_byte_array_set_size(bytes, 0);
	if (qemu_plugin_read_register(which, bytes) < (int)sizeof(value))
		fail("QEMU does not tell a register");
	memcpy(&value, bytes->data, sizeof(value));
	return value;
}

/* --- Writing it ------------------------------------------------------------------------------ */

#define CPU_MASK	0xff		/* the first CPU and 1 */
#define IS_SHARED	0x100
#define IS_STORED	0x200

static void note_lines(uint16_t *lines, unsigned int number)
{
	const struct cpu *cpu = &cpus[number];

	for (uint64_t i = 0; i < cpu->count; i++) {
		const struct record *record = &cpu->records[i];
		uint16_t *line = &lines[record->line];

		if (!*line)
			*line = number + 1;
		else if ((*line & CPU_MASK) != number + 1)
			*line |= IS_SHARED;
		if (record->is_store)
			*line |= IS_STORED;
	}
}

static void write_entries(FILE *out, const uint16_t *lines, unsigned int number)
{
	const struct cpu *cpu = &cpus[number];
	uint64_t at = 0;
	uint32_t request = 0;

	for (uint64_t i = 0; i < cpu->count; i++) {
		const struct record *record = &cpu->records[i];
		uint64_t length;

		while (request + 1 < cpu->requests && i >= cpu->first[request + 1])
			request++;
		at += record->passed;
		if (at < cpu->began[request])
			at = cpu->began[request];
		if (~lines[record->line] & (IS_SHARED | IS_STORED))
			continue;
		length = cpu->ended[request] - cpu->began[request] + 1;
		fwrite(&(struct entry) {
			.code = KERNEL + record->code,
			.address = 0xffffUL << 48 | record->address,
			.line = record->line,
			.part = ((at - cpu->began[request]) << 32) / length,
			.request = request,
			.cpu = number,
			.flags = (record->is_store ? IS_A_STORE : 0) |
				 (record->is_percpu ? IS_PERCPU : 0),
		}, sizeof(struct entry), 1, out);
	}
}

static void write_out(void)
{
	struct header header = {
		.magic = "sharing",
		.cpus = cpu_count,
		.requests = request_count,
	};
	uint16_t *lines = reserve(LINES * sizeof(*lines));
	char path[4096];
	FILE *out;

	snprintf(path, sizeof(path), "%s.part", out_path);
	out = fopen(path, "w");
	if (!out)
		fail("the result cannot be written");
	for (unsigned int number = 0; number < cpu_count; number++) {
		note_lines(lines, number);
		header.accesses += cpus[number].now;
		header.records += cpus[number].count;
	}
	fwrite(&header, sizeof(header), 1, out);
	for (unsigned int number = 0; number < cpu_count; number++)
		write_entries(out, lines, number);
	if (ferror(out) | fclose(out) || rename(path, out_path))
		fail("the result cannot be written");
	munmap(lines, LINES * sizeof(*lines));
}

/* --- Recording ------------------------------------------------------------------------------- */

/*
 * Finds out which CPU runs. With @is_new, a base that is not known yet is that of one more.
 */
static void find_current(bool is_new)
{
	uint64_t base = read_register(gs_base);

	if (base < KERNEL_HALF)
		base = read_register(kernel_gs_base);
	if (current && current->base == base)
		return;
	current = NULL;
	for (unsigned int number = 0; number < known_count; number++) {
		if (cpus[number].base == base)
			current = &cpus[number];
	}
	if (current || !is_new || known_count == cpu_count)
		return;
	current = &cpus[known_count++];
	current->base = base;
	current->records = reserve(CAPACITY * sizeof(struct record));
}

static void block_began(unsigned int number, void *data)
{
	(void)number;
	(void)data;
	find_current(false);
}

static void accessed(unsigned int number, uint32_t info, uint64_t address, void *data)
{
	struct cpu *cpu = current;
	uint64_t code = (uint64_t)data;
	bool is_store = code >> 63 || qemu_plugin_mem_is_store(info);
	struct hwaddr *where;
	struct recent *recent;
	uint64_t line, passed;

	(void)number;
	if (!cpu || !cpu->is_recording || cpu->in_interrupt)
		return;
	where = qemu_plugin_get_hwaddr(info, address);
	if (!where || qemu_plugin_hwaddr_is_io(where))
		return;
	line = qemu_plugin_hwaddr_phys_addr(where) >> LINE_SHIFT;
	if (line >= LINES)
		fail("the guest has too much memory");
	cpu->now++;
	recent = &cpu->recent[(line ^ line >> 8) % RECENT];
	if (recent->line == line && cpu->now - recent->at <= NEAR &&
	    recent->is_store >= is_store) {
		recent->at = cpu->now;
		return;
	}
	*recent = (struct recent) { .line = line, .is_store = is_store, .at = cpu->now };
	if (cpu->count == CAPACITY)
		fail("the requests are too many to be recorded");
	passed = cpu->now - cpu->recorded_at;
	cpu->recorded_at = cpu->now;
	cpu->records[cpu->count++] = (struct record) {
		.address = address,
		.passed = passed < 0x7fff ? passed : 0x7fff,
		.is_store = is_store,
		.code = code,
		.is_percpu = code >> 62 & 1,
		.line = line,
	};
}

static void begin(unsigned int number, void *data)
{
	(void)number;
	(void)data;
	find_current(true);
	if (!current || current->is_done)
		return;
	current->first[current->requests] = current->count;
	current->began[current->requests] = current->now;
	current->is_recording = true;
}

static void end(unsigned int number, void *data)
{
	(void)number;
	(void)data;
	find_current(false);
	if (!current || !current->is_recording)
		return;
	current->is_recording = false;
	current->ended[current->requests++] = current->now;
	if (current->requests < request_count)
		return;
	current->is_done = true;
	if (++done_count == cpu_count)
		write_out();
}

static void interrupt_began(unsigned int number, void *data)
{
	(void)number;
	(void)data;
	if (current)
		current->in_interrupt = true;
}

/* From one of these interrupts, or from another one. */
static void returned(unsigned int number, void *data)
{
	(void)number;
	(void)data;
	if (current)
		current->in_interrupt = false;
}

static void find_interrupts(void)
{
	FILE *symbols = fopen(symbols_path, "r");
	char line[512], name[256];

	while (symbols && fgets(line, sizeof(line), symbols)) {
		uint64_t address;

		if (sscanf(line, "symbol %lx %255s", &address, name) != 2)
			continue;
		if (!strcmp(name, "asm_sysvec_apic_timer_interrupt"))
			timer = address;
		else if (!strcmp(name, "asm_common_interrupt"))
			device = address;
	}
	if (!timer || !device)
		fail("the guest has told no symbols");
	fclose(symbols);
}

static void restarted(plugin_id id);

static void start(unsigned int number, void *data)
{
	(void)number;
	if (is_started)
		return;
	is_started = true;
	find_interrupts();
	find_registers();
	/* All code is translated again, with what records it. */
	qemu_plugin_reset((plugin_id)data, restarted);
}

/* --- Translation ----------------------------------------------------------------------------- */

struct prefixes {
	bool lock, segment;
	size_t length;
};

static struct prefixes prefixes_of(const uint8_t *code, size_t size)
{
	struct prefixes found = { 0 };

	for (; found.length < size; found.length++) {
		uint8_t byte = code[found.length];

		if (byte == 0xf0)
			found.lock = true;
		else if (byte == 0x65)
			found.segment = true;
		else if (!memchr("\x2e\x36\x3e\x26\x64\x66\x67\xf2\xf3", byte, 9) &&
			 (byte & 0xf0) != 0x40)
			break;
	}
	return found;
}

static void translate_kernel(struct insn *insn, const uint8_t *code, size_t size, uint64_t address)
{
	struct prefixes prefixes = prefixes_of(code, size);
	const uint8_t *rest = code + prefixes.length;
	uint64_t data = address & ~KERNEL;

	size -= prefixes.length;
	/* xchg with memory locks without a prefix. */
	if (prefixes.lock || (size >= 2 && (rest[0] & 0xfe) == 0x86))
		data |= 1UL << 63;
	if (prefixes.segment)
		data |= 1UL << 62;
	qemu_plugin_register_vcpu_mem_cb(insn, accessed, NO_REGS, READ_WRITE, (void *)data);
	if (address == timer || address == device)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, interrupt_began, NO_REGS, NULL);
	if (size == 1 && rest[0] == 0xcf)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, returned, NO_REGS, NULL);
}

static void translate_user(plugin_id id, struct insn *insn, const uint8_t *code, size_t size)
{
	uint32_t mark;

	if (size != 7 || memcmp(code, "\x0f\x1f\x80", 3))
		return;
	memcpy(&mark, code + 3, sizeof(mark));
	if (mark == START)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, start, NO_REGS, (void *)id);
	else if (mark == BEGIN && is_started)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, begin, READ_REGS, NULL);
	else if (mark == END && is_started)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, end, READ_REGS, NULL);
}

static void translated(plugin_id id, struct tb *tb)
{
	size_t count = qemu_plugin_tb_n_insns(tb);
	uint64_t start = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));

	if (start >= KERNEL && is_started)
		qemu_plugin_register_vcpu_tb_exec_cb(tb, block_began, READ_REGS, NULL);
	for (size_t i = 0; i < count; i++) {
		struct insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t address = qemu_plugin_insn_vaddr(insn);
		uint8_t code[16];
		size_t size;

		if (address >= KERNEL && !is_started)
			continue;
		size = qemu_plugin_insn_data(insn, code, sizeof(code));
		if (address >= KERNEL)
			translate_kernel(insn, code, size, address);
		else
			translate_user(id, insn, code, size);
	}
}

static void restarted(plugin_id id)
{
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
}

static unsigned int number_from(const char *text, unsigned int most)
{
	unsigned long number = strtoul(text, NULL, 10);

	if (!number || number > most)
		fail("a number is out of range");
	return number;
}

EXPORT int qemu_plugin_install(plugin_id id, const struct qemu_info_t *info, int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++) {
		const char *value = strchr(argv[i], '=');

		if (value && !strncmp(argv[i], "out=", 4))
			out_path = value + 1;
		else if (value && !strncmp(argv[i], "symbols=", 8))
			symbols_path = value + 1;
		else if (value && !strncmp(argv[i], "cpus=", 5))
			cpu_count = number_from(value + 1, MAX_CPUS);
		else if (value && !strncmp(argv[i], "requests=", 9))
			request_count = number_from(value + 1, MAX_REQUESTS);
		else
			fail("an argument is unknown");
	}
	if (!out_path || !symbols_path || !cpu_count || !request_count)
		fail("an argument is missing");
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
