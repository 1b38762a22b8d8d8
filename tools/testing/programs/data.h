/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared by the programs that write pages with a label, which determines all of their bytes, and
 * judge by the label what they read.
 */

#ifndef ZRAM_TESTING_DATA_H
#define ZRAM_TESTING_DATA_H

#include <stdatomic.h>

#include "common.h"

/*
 * The label is the first word of a page: 8 bits with the number of the program, 20 bits with the
 * number of the page, and 36 bits with its generation, which counts the writes to it.
 */
#define GENERATION	((1UL << 36) - 1)
#define MAX_INDEX	(1UL << 20)

/* The kind of a page is its generation modulo KINDS. */
enum kind { DISCARDED, SAME, TEXT, RANDOM, KINDS };

/* The generations of a page that is on a disk. */
struct page {
	atomic_bool owned;		/* a task writes to it */
	atomic_bool unsure;		/* a write to it has failed */
	atomic_ulong begun;		/* of the last write that began */
	atomic_ulong ended;		/* of the last write that ended */
	atomic_ulong discarded;		/* of the last discard that began */
};

enum verdict { RIGHT, FOREIGN, OLD, LOST, FUTURE, TORN, VERDICTS };

static const char * const verdict_names[] = {
	"right", "another page's", "old", "lost", "from the future", "torn"
};

static inline uint64_t make_label(uint64_t program, uint64_t index, uint64_t generation)
{
	return program << 56 | index << 36 | generation;
}

static inline uint64_t index_of(uint64_t label)
{
	return label >> 36 & (MAX_INDEX - 1);
}

/* Fills a page as its label says. At least @least of its words are random in any text. */
static inline void fill_labelled(uint64_t *to, uint64_t label, size_t least)
{
	uint64_t state = seed_state(label);
	size_t i, loose;

	switch ((enum kind)((label & GENERATION) % KINDS)) {
	case TEXT:
		/* The part that cannot be compressed has any length, so sizes differ widely. */
		loose = least + next_random(&state) % (WORDS / 2);
		for (i = 0; i < WORDS; i++)
			to[i] = i < loose ? next_random(&state) : label;
		break;
	case RANDOM:
		for (i = 0; i < WORDS; i++)
			to[i] = next_random(&state);
		break;
	case SAME:
		for (i = 0; i < WORDS; i++)
			to[i] = label;
		break;
	default:
		memset(to, 0, PAGE);
		return;
	}
	to[0] = label;
}

/* Starts a write of this kind, or a discard, to a page that the caller owns: its generation. */
static inline uint64_t begin_generation(struct page *page, enum kind kind)
{
	uint64_t generation = (page->begun / KINDS + 1) * KINDS + kind;

	if (kind == DISCARDED)
		page->discarded = generation;
	page->begun = generation;
	return generation;
}

/*
 * Judges what was read of @page, which is number @index of @program, when a write of generation
 * @oldest had ended before the read began.
 */
static inline enum verdict judge(const struct page *page, const uint64_t *got, uint64_t program,
				 uint64_t index, size_t least, uint64_t oldest)
{
	uint64_t wanted[WORDS], generation = got[0] & GENERATION;

	if (!got[0]) {
		if (memcmp(got, got + 1, PAGE - sizeof(*got)))
			return TORN;
		return page->discarded >= oldest ? RIGHT : LOST;
	}
	if (got[0] >> 56 != program || generation % KINDS == DISCARDED)
		return TORN;
	fill_labelled(wanted, got[0], least);
	if (memcmp(got, wanted, PAGE))
		return TORN;
	if (index_of(got[0]) != index)
		return FOREIGN;
	if (generation > page->begun)
		return FUTURE;
	return generation < oldest ? OLD : RIGHT;
}

#endif
