/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fast_key.c: the digest of a call's arguments, as keys.args_digest makes it: BLAKE2b of marshal's version 2 if
 * all of them are exact scalars, and else of their tokens (_fingerprint), of which only those of scalars and of
 * tuples are known here.  What is longer than the buffer is left to Python, which hashes it no slower.
 */
#include "fast.h"

#include <marshal.h>

#include "blake2b.h"

#define BUFFER_BYTES 2048u
#define DEPTH_MAX 16u /* of tuples in tuples */
#define MARSHAL_VERSION 2
#define MARSHAL_DIGIT_BITS 15
#define TOKEN_BYTES 9u /* tag, and length as u64 */

struct writer {
    size_t used;
    uint8_t bytes[BUFFER_BYTES];
};

/* Room for so many bytes; NULL: there is none. */
static uint8_t *room(struct writer *w, size_t length) {
    if (length > sizeof w->bytes - w->used) {
        return NULL;
    }
    w->used += length;
    return w->bytes + w->used - length;
}

static void put_number(uint8_t *at, uint64_t number, unsigned width) {
    for (unsigned i = 0; i < width; i++) {
        at[i] = (uint8_t)(number >> 8 * i);
    }
}

static bool put_tag(struct writer *w, char tag, uint64_t number, unsigned width) {
    uint8_t *at = room(w, 1 + width);
    if (at == NULL) {
        return false;
    }
    at[0] = (uint8_t)tag;
    put_number(at + 1, number, width);
    return true;
}

static bool put_bytes(struct writer *w, char tag, const void *bytes, size_t length) {
    uint8_t *at = length > sizeof w->bytes || !put_tag(w, tag, length, 4) ? NULL : room(w, length);
    if (at != NULL) {
        memcpy(at, bytes, length);
    }
    return at != NULL;
}

/* ---- scalars, as marshal writes them; 1, 0, -1 as key_digest ---------------------------------- */

/* What is rare: by marshal itself. */
static int put_marshalled(struct writer *w, PyObject *item) {
    PyObject *bytes = PyMarshal_WriteObjectToString(item, MARSHAL_VERSION);
    if (bytes == NULL) {
        return -1;
    }
    uint8_t *at = room(w, (size_t)PyBytes_GET_SIZE(bytes));
    if (at != NULL) {
        memcpy(at, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    }
    Py_DECREF(bytes);
    return at != NULL;
}

static int put_int(struct writer *w, PyObject *item) {
    int overflow = 0;
    long long number = PyLong_AsLongLongAndOverflow(item, &overflow);
    if (overflow != 0) {
        return put_marshalled(w, item);
    }
    if (number >= INT32_MIN && number <= INT32_MAX) {
        return put_tag(w, 'i', (uint64_t)number, 4);
    }
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    unsigned digits = 0;
    for (uint64_t left = rest; left != 0; left >>= MARSHAL_DIGIT_BITS) {
        digits++;
    }
    if (!put_tag(w, 'l', number < 0 ? 0 - (uint64_t)digits : digits, 4)) {
        return 0;
    }
    uint8_t *at = room(w, 2 * (size_t)digits);
    for (unsigned i = 0; at != NULL && i < digits; i++) {
        put_number(at + 2 * i, rest >> MARSHAL_DIGIT_BITS * i & ((1u << MARSHAL_DIGIT_BITS) - 1), 2);
    }
    return at != NULL;
}

static int put_float(struct writer *w, PyObject *item) {
    double number = PyFloat_AS_DOUBLE(item);
    uint64_t bits = 0x7ff8000000000000; /* of the one NaN that stands for all */
    if (number == number) {
        memcpy(&bits, &number, sizeof bits);
    }
    return put_tag(w, 'g', bits, 8);
}

static int put_str(struct writer *w, PyObject *item) {
    if (PyUnicode_IS_COMPACT_ASCII(item)) {
        return put_bytes(w, 'u', PyUnicode_1BYTE_DATA(item), (size_t)PyUnicode_GET_LENGTH(item));
    }
    PyObject *bytes = PyUnicode_AsEncodedString(item, "utf-8", "surrogatepass");
    if (bytes == NULL) {
        return -1;
    }
    bool fits = put_bytes(w, 'u', PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    Py_DECREF(bytes);
    return fits;
}

static bool is_scalar(PyObject *item) {
    return PyLong_CheckExact(item) || PyUnicode_CheckExact(item) || PyFloat_CheckExact(item) ||
           PyBytes_CheckExact(item) || PyBool_Check(item) || item == Py_None;
}

static int put_scalar(struct writer *w, PyObject *item) {
    if (PyLong_CheckExact(item)) {
        return put_int(w, item);
    }
    if (PyUnicode_CheckExact(item)) {
        return put_str(w, item);
    }
    if (PyFloat_CheckExact(item)) {
        return put_float(w, item);
    }
    if (PyBytes_CheckExact(item)) {
        return put_bytes(w, 's', PyBytes_AS_STRING(item), (size_t)PyBytes_GET_SIZE(item));
    }
    return put_tag(w, item == Py_None ? 'N' : item == Py_True ? 'T' : 'F', 0, 0);
}

static bool all_scalars(PyObject *tuple) {
    bool all = true;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple) && all; i++) {
        all = is_scalar(PyTuple_GET_ITEM(tuple, i));
    }
    return all;
}

/* A tuple ('(') or list ('[') of scalars. */
static int put_scalars(struct writer *w, char tag, PyObject *tuple) {
    int done = PyTuple_GET_SIZE(tuple) <= BUFFER_BYTES && put_tag(w, tag, (uint64_t)PyTuple_GET_SIZE(tuple), 4);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple) && done == 1; i++) {
        done = put_scalar(w, PyTuple_GET_ITEM(tuple, i));
    }
    return done;
}

/* ---- tokens --------------------------------------------------------------------------------- */

static int put_token(struct writer *w, PyObject *item, unsigned depth);

static int put_tuple(struct writer *w, PyObject *tuple, unsigned depth) {
    if (all_scalars(tuple)) {
        uint8_t *at = room(w, 1);
        if (at != NULL) {
            *at = 'm';
        }
        return at == NULL ? 0 : put_scalars(w, '[', tuple);
    }
    uint8_t *at = room(w, 1);
    int done = at != NULL && depth < DEPTH_MAX;
    if (at != NULL) {
        *at = 'g';
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple) && done == 1; i++) {
        done = put_token(w, PyTuple_GET_ITEM(tuple, i), depth + 1);
    }
    return done;
}

static int put_token(struct writer *w, PyObject *item, unsigned depth) {
    size_t start = w->used;
    bool scalar = is_scalar(item);
    if ((!scalar && !PyTuple_CheckExact(item)) || !put_tag(w, scalar ? 's' : 't', 0, 8)) {
        return 0;
    }
    int done = 0;
    if (!scalar) {
        done = put_tuple(w, item, depth);
    } else if (put_tag(w, '[', 1, 4)) {
        done = put_scalar(w, item);
    }
    put_number(w->bytes + start + 1, w->used - start - TOKEN_BYTES, 8);
    return done;
}

/* A function of its own: the writer's frame is gone before any Python code runs. */
int key_digest(PyObject *bound, uint8_t digest[DIGEST_BYTES]) {
    struct writer w;
    int done = 1;
    w.used = 0;
    memset(w.bytes, 0, KNOWN_BYTES);
    if (all_scalars(bound)) {
        done = put_scalars(&w, '(', bound);
    } else {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(bound) && done == 1; i++) {
            done = put_token(&w, PyTuple_GET_ITEM(bound, i), 0);
        }
    }
    if (done == 1 && w.used < KNOWN_BYTES) {
        digest_short(w.bytes, w.used, digest);
    } else if (done == 1) {
        blake2b(w.bytes, w.used, digest, DIGEST_BYTES);
    }
    return done;
}
