/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fast_answer.c: lines of memcached's text protocol that read ("get k1 k2\r\n", "gets k1\r\n"), many of them at once,
 * to the bytes that answer them, without a Python object for any key.
 *
 * What it promises: it answers whole lines in their order, and stops before the first one that is not usual, of which
 * nothing is in the answer then; whoever called goes on there in his own way.  What it has read of such a line, and of
 * those behind it, counts in the core's statistics all the same.  The caller's bytes are read while others may change
 * them: then the answer may be to something else, never longer than its room.
 */
#include "fast.h"

#define KEYS_MOST 256u /* of one call of the core */
#define VALUES_BYTES (64u * 1024u) /* what is larger is read by itself */
#define KEY_LONGEST 250u
#define HEAD_MOST (KEY_LONGEST + 64u) /* VALUE, the key, three numbers, blanks, the line's end */
#define TYPES_AS_THEY_ARE 12u /* values of other type codes are for Python */

enum progress { GOES_ON, STOPS, RAISES };

/* Where in the caller's bytes we are. */
struct lines {
    const char *data;
    size_t at, length;
    size_t text_end, next; /* of the line at hand: behind its last key, and where the next one begins; next 0: none */
    bool tokens;           /* it is a gets */
};

struct batch {
    size_t count;
    const void *keys[KEYS_MOST];
    size_t lengths[KEYS_MOST];
    size_t next[KEYS_MOST]; /* of the last key of a line: where the next line begins; else 0 */
    bool tokens[KEYS_MOST];
    plc_found found[KEYS_MOST];
    char values[VALUES_BYTES];
};

struct counts {
    size_t next, length; /* of the caller's bytes what is answered, and how long the answer is */
    Py_ssize_t lines, hits, misses;
};

struct answer {
    plc_cache *handle;
    PyObject *bytes; /* NULL: none yet */
    size_t room, most;
    struct counts so_far, whole; /* also of the line at hand, and of whole lines only */
};

/* ---- the lines ------------------------------------------------------------------------------------ */

/* false: it is not whole yet, or another command. */
static bool begin_line(struct lines *l) {
    const char *from = l->data + l->at;
    size_t left = l->length - l->at, verb = left > 4 && from[3] == 's' ? 5 : 4;
    if (left <= verb || memcmp(from, verb == 5 ? "gets " : "get ", verb) != 0) {
        return false;
    }
    const char *end = memchr(from, '\n', left);
    if (end == NULL) {
        return false;
    }
    l->tokens = verb == 5;
    l->next = (size_t)(end - l->data) + 1;
    l->text_end = l->next - (end[-1] == '\r' ? 2 : 1);
    l->at += verb;
    return true;
}

static void skip_blanks(struct lines *l) {
    while (l->at < l->text_end && l->data[l->at] == ' ') {
        l->at++;
    }
}

/* false: there is none, or not a usual one. */
static bool take_key(struct lines *l, struct batch *b) {
    skip_blanks(l);
    const char *key = l->data + l->at;
    size_t n = 0, left = l->text_end > l->at ? l->text_end - l->at : 0;
    while (n < left && key[n] != ' ') {
        if (n == KEY_LONGEST || key[n] == '\0' || key[n] == '\r') {
            return false;
        }
        n++;
    }
    if (n == 0) {
        return false;
    }
    l->at += n;
    skip_blanks(l);
    bool last = l->at >= l->text_end;
    b->keys[b->count] = key;
    b->lengths[b->count] = n;
    b->tokens[b->count] = l->tokens;
    b->next[b->count++] = last ? l->next : 0;
    if (last) {
        l->at = l->next;
        l->next = 0;
    }
    return true;
}

/* As many of the next keys as there is room for.  false: behind them the caller is to go on. */
static bool take_keys(struct lines *l, struct batch *b) {
    b->count = 0;
    while (b->count < KEYS_MOST) {
        if ((l->next == 0 && !begin_line(l)) || !take_key(l, b)) {
            return false;
        }
    }
    return true;
}

/* ---- the answer ----------------------------------------------------------------------------------- */

/* -1: no memory. */
static int make_room(struct answer *a, size_t more) {
    size_t needed = a->so_far.length + more, room = needed > 2 * a->room ? needed : 2 * a->room;
    if (needed <= a->room) {
        return 0;
    }
    if (room > PY_SSIZE_T_MAX / 2) {
        PyErr_NoMemory();
        return -1;
    }
    if (a->bytes == NULL) {
        a->bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)room);
    } else if (_PyBytes_Resize(&a->bytes, (Py_ssize_t)room) != 0) {
        a->bytes = NULL;
    }
    a->room = room;
    return a->bytes == NULL ? -1 : 0;
}

static char *place(const struct answer *a) {
    return PyBytes_AS_STRING(a->bytes) + a->so_far.length;
}

static char *put_number(char *to, uint64_t n) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n != 0);
    memcpy(to, digits + at, sizeof digits - at);
    return to + (sizeof digits - at);
}

/* At most HEAD_MOST bytes; how many they are. */
static size_t put_head(char *to, const struct batch *b, size_t i, const plc_found *found) {
    char *at = to;
    memcpy(at, "VALUE ", 6);
    memcpy(at + 6, b->keys[i], b->lengths[i]);
    at += 6 + b->lengths[i];
    *at++ = ' ';
    at = put_number(at, found->client_flags != 0 ? found->client_flags : found->type);
    *at++ = ' ';
    at = put_number(at, found->length);
    if (b->tokens[i]) {
        *at++ = ' ';
        at = put_number(at, found->token);
    }
    *at++ = '\r';
    *at++ = '\n';
    return (size_t)(at - to);
}

static plc_status get_large(plc_cache *handle, const struct batch *b, size_t i, char *to, plc_found *found) {
    plc_status status;
    size_t room = found->length;
    if (room <= GIL_BYTES) {
        return plc_get(handle, b->keys[i], b->lengths[i], 0, to, room, found);
    }
    Py_BEGIN_ALLOW_THREADS status = plc_get(handle, b->keys[i], b->lengths[i], 0, to, room, found);
    Py_END_ALLOW_THREADS return status;
}

/* What did not fit among the other values: read once more, to where it is to stand but for its head. */
static enum progress put_large(struct answer *a, const struct batch *b, size_t i) {
    plc_found found = b->found[i];
    plc_status status = PLC_TOO_SMALL;
    while (status == PLC_TOO_SMALL) { /* it may grow meanwhile */
        if (found.type >= TYPES_AS_THEY_ARE || found.length > a->most) {
            return STOPS;
        }
        if (make_room(a, HEAD_MOST + found.length + 2) != 0) {
            return RAISES;
        }
        status = get_large(a->handle, b, i, place(a) + HEAD_MOST, &found);
    }
    if (status == PLC_MISS) {
        a->so_far.misses++;
        return GOES_ON;
    }
    if (status != PLC_OK || found.type >= TYPES_AS_THEY_ARE) {
        return STOPS;
    }
    char *to = place(a);
    size_t head = put_head(to, b, i, &found);
    memmove(to + head, to + HEAD_MOST, found.length);
    memcpy(to + head + found.length, "\r\n", 2);
    a->so_far.length += head + found.length + 2;
    a->so_far.hits++;
    return GOES_ON;
}

static enum progress put_row(struct answer *a, const struct batch *b, size_t i) {
    const plc_found *found = &b->found[i];
    if (found->status == PLC_MISS) {
        a->so_far.misses++;
        return GOES_ON;
    }
    if (found->status == PLC_TOO_SMALL) {
        return put_large(a, b, i);
    }
    if (found->status != PLC_OK || found->type >= TYPES_AS_THEY_ARE) {
        return STOPS;
    }
    if (make_room(a, HEAD_MOST + found->length + 2) != 0) {
        return RAISES;
    }
    char *to = place(a);
    size_t head = put_head(to, b, i, found);
    memcpy(to + head, b->values + found->offset, found->length);
    memcpy(to + head + found->length, "\r\n", 2);
    a->so_far.length += head + found->length + 2;
    a->so_far.hits++;
    return GOES_ON;
}

static enum progress end_line(struct answer *a, size_t next) {
    if (make_room(a, 5) != 0) {
        return RAISES;
    }
    memcpy(place(a), "END\r\n", 5);
    a->so_far.length += 5;
    a->so_far.lines++;
    a->so_far.next = next;
    if (a->so_far.length > a->most) {
        return STOPS;
    }
    a->whole = a->so_far;
    return GOES_ON;
}

static enum progress put_rows(struct answer *a, const struct batch *b) {
    enum progress p = GOES_ON;
    for (size_t i = 0; i < b->count && p == GOES_ON; i++) {
        p = put_row(a, b, i);
        if (p == GOES_ON && a->so_far.length > a->most) {
            p = STOPS;
        }
        if (p == GOES_ON && b->next[i] != 0) {
            p = end_line(a, b->next[i]);
        }
    }
    return p;
}

/* -1: an exception is set. */
static int answer_all(struct answer *a, struct lines *l) {
    struct batch *b = PyMem_RawMalloc(sizeof *b);
    if (b == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    enum progress p = GOES_ON;
    for (bool more = true; more && p == GOES_ON;) {
        more = take_keys(l, b);
        if (b->count == 0) {
            break;
        }
        plc_status status =
            plc_get_many(a->handle, b->count, b->keys, b->lengths, 0, b->values, sizeof b->values, b->found);
        p = status == PLC_OK ? put_rows(a, b) : STOPS;
    }
    PyMem_RawFree(b);
    return p == RAISES ? -1 : 0;
}

PyObject *module_answer(PyObject *Py_UNUSED(module), PyObject *args) {
    unsigned long long address;
    Py_buffer data;
    Py_ssize_t start, most;
    if (!PyArg_ParseTuple(args, "Ky*nn", &address, &data, &start, &most)) {
        return NULL;
    }
    struct answer a = {.handle = (plc_cache *)(uintptr_t)address, .most = most > 0 ? (size_t)most : 0};
    struct lines l = {.data = data.buf, .length = (size_t)data.len};
    l.at = start < 0 ? 0 : (size_t)start < l.length ? (size_t)start : l.length;
    a.so_far.next = a.whole.next = l.at;
    int failed = answer_all(&a, &l);
    PyBuffer_Release(&data);
    if (failed == 0 && a.bytes == NULL) {
        a.bytes = PyBytes_FromStringAndSize(NULL, 0);
    } else if (failed == 0 && _PyBytes_Resize(&a.bytes, (Py_ssize_t)a.whole.length) != 0) {
        a.bytes = NULL;
    }
    if (failed != 0 || a.bytes == NULL) {
        Py_XDECREF(a.bytes);
        return NULL;
    }
    return Py_BuildValue("(Nnnnn)", a.bytes, (Py_ssize_t)a.whole.next, a.whole.lines, a.whole.hits, a.whole.misses);
}
