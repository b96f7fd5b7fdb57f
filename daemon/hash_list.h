// SPDX-License-Identifier: Apache-2.0
/*
 * hash_list.h: those macros of uthash's interface (its user guide describes them) that the daemon
 * uses, as doubly linked lists searched from the front: for builds without uthash. Order of
 * iteration is order of addition, as there; a search costs as many comparisons as there are
 * elements, which are the classes, rules, clients and devices of one machine: few.
 *
 * The head is a pointer to the first element, NULL when empty; the handle is called hh. Adding
 * needs no memory, so hh.tbl, which uthash leaves NULL for want of it, is never NULL afterwards.
 * Keys are not copied and must be unique, as in uthash. Below them, utlist's doubly linked lists,
 * whose links are the element's own prev and next.
 */
#ifndef REIN_HASH_LIST_H
#define REIN_HASH_LIST_H

#include <string.h>

typedef struct UT_hash_handle {
	void *tbl;         /* not NULL: in a list */
	void *prev, *next; /* elements, in order of addition */
	const void *key;
	size_t keylen;
} UT_hash_handle; /* uthash's name, so uthash's typedef */

#define HASH_FIND(hh, head, keyptr, keylen_in, out)                                                \
	do {                                                                                       \
		const void *hl_key_ = (keyptr);                                                    \
		size_t hl_len_ = (keylen_in);                                                      \
		__typeof__(out) hl_at_ = (head);                                                   \
		while (hl_at_ && (hl_at_->hh.keylen != hl_len_ ||                                  \
		                  memcmp(hl_at_->hh.key, hl_key_, hl_len_) != 0))                  \
			hl_at_ = hl_at_->hh.next;                                                  \
		(out) = hl_at_;                                                                    \
	} while (0)

#define HASH_ADD_KEYPTR(hh, head, keyptr, keylen_in, add)                                          \
	do {                                                                                       \
		__typeof__(add) hl_new_ = (add), hl_last_ = (head);                                \
		while (hl_last_ && hl_last_->hh.next)                                              \
			hl_last_ = hl_last_->hh.next;                                              \
		hl_new_->hh = (UT_hash_handle){                                                    \
		    .tbl = hl_new_, .prev = hl_last_, .key = (keyptr), .keylen = (keylen_in)};     \
		if (hl_last_)                                                                      \
			hl_last_->hh.next = hl_new_;                                               \
		else                                                                               \
			(head) = hl_new_;                                                          \
	} while (0)

#define HASH_ADD(hh, head, field, keylen_in, add)                                                  \
	HASH_ADD_KEYPTR(hh, head, &((add)->field), keylen_in, add)

/* The key is an array of characters in the element. */
#define HASH_FIND_STR(head, text, out) HASH_FIND (hh, head, text, strlen(text), out)
#define HASH_ADD_STR(head, field, add)                                                             \
	HASH_ADD_KEYPTR(hh, head, (add)->field, strlen((add)->field), add)

/* Does not free; the element's own hh.next stays, as a loop may still stand on it. */
#define HASH_DEL(head, del)                                                                        \
	do {                                                                                       \
		__typeof__(del) hl_del_ = (del), hl_prev_ = hl_del_->hh.prev,                      \
				hl_next_ = hl_del_->hh.next;                                       \
		if (hl_next_)                                                                      \
			hl_next_->hh.prev = hl_prev_;                                              \
		if (hl_prev_)                                                                      \
			hl_prev_->hh.next = hl_next_;                                              \
		else                                                                               \
			(head) = hl_next_;                                                         \
	} while (0)

/* Each element in order; `el` may be deleted and freed in the body. */
#define HASH_ITER(hh, head, el, tmp)                                                               \
	for ((el) = (head), (tmp) = (el) ? (el)->hh.next : NULL; (el);                             \
	     (el) = (tmp), (tmp) = (el) ? (el)->hh.next : NULL)

#define HASH_COUNT(head)                                                                           \
	__extension__({                                                                            \
		unsigned hl_n_ = 0;                                                                \
		for (__typeof__(head) hl_at_ = (head); hl_at_; hl_at_ = hl_at_->hh.next)           \
			hl_n_++;                                                                   \
		hl_n_;                                                                             \
	})

/* The head's prev is the last element, the last one's next is NULL. */
#define DL_APPEND(head, add)                                                                       \
	do {                                                                                       \
		__typeof__(add) dl_new_ = (add);                                                   \
		dl_new_->next = NULL;                                                              \
		dl_new_->prev = (head) ? (head)->prev : dl_new_;                                   \
		if (head)                                                                          \
			(head)->prev->next = dl_new_;                                              \
		else                                                                               \
			(head) = dl_new_;                                                          \
		(head)->prev = dl_new_;                                                            \
	} while (0)

#define DL_DELETE(head, del)                                                                       \
	do {                                                                                       \
		__typeof__(del) dl_del_ = (del);                                                   \
		if (dl_del_->next)                                                                 \
			dl_del_->next->prev = dl_del_->prev;                                       \
		else if (dl_del_ != (head))                                                        \
			(head)->prev = dl_del_->prev;                                              \
		if (dl_del_ == (head))                                                             \
			(head) = dl_del_->next;                                                    \
		else                                                                               \
			dl_del_->prev->next = dl_del_->next;                                       \
	} while (0)

/* Each element in order; `el` may be deleted and freed in the body. */
#define DL_FOREACH_SAFE(head, el, tmp)                                                             \
	for ((el) = (head), (tmp) = (el) ? (el)->next : NULL; (el);                                \
	     (el) = (tmp), (tmp) = (el) ? (el)->next : NULL)

#endif
