/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fast.h: what the files of plib_cache._fast share.
 *
 * That module is the hot path of Cache and of the decorator, without cffi: about 15 ns for a call where cffi
 * takes 115.  It lies in the shared object of plib_cache._native, so that there is one copy of the core's
 * state; cffi stays the binding of record, and Python code the description of what every operation means.
 *
 * What it promises: it does what is usual (plain keys, scalar values, an answer at once) exactly as the
 * general path does, and hands everything else to that path before anything was changed or counted.  It holds
 * the GIL, but while it copies more than 64 KiB; nothing of the core is held when the GIL is taken again.
 * There is no state but that of its objects, and the digests that fast_digest.c remembers.
 */
#ifndef PLC_FAST_H
#define PLC_FAST_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "plc.h"

#define GIL_BYTES (64u * 1024u) /* copies of more give the GIL up */
#define OWNED_TYPE 7            /* values of type codes from here on come as bytearrays that may be kept */

/* Type codes of plib_cache.serialize. */
enum {
    VALUE_BYTES = 0,
    VALUE_STR = 1,
    VALUE_INT = 2,
    VALUE_FLOAT = 3,
    VALUE_BOOL = 4,
    VALUE_NONE = 5,
    VALUE_BYTEARRAY = 6
};

/* ---- fast_port.c: a handle of the core, until it is closed ---------------------------------- */

typedef struct port {
    PyObject_HEAD _Atomic(plc_cache *) handle; /* NULL: closed */
    PyObject *older;             /* the port that this one took the place of, for whoever still reads it */
} Port;

extern PyType_Spec port_spec;

/* NULL: closed, or there is no port. */
static inline plc_cache *port_handle(Port *port) {
    return port == NULL ? NULL : atomic_load_explicit(&port->handle, memory_order_acquire);
}

/* ---- fast_value.c: scalars as bytes, and keys ----------------------------------------------- */

struct text {
    const char *bytes;
    size_t length;
    bool is_text;
};

/* The bytes of an exact str or bytes that can be a key; they live as long as it.  false, and no exception: it is
 * something else. */
bool text_of_key(PyObject *key, struct text *text);

struct scalar {
    const void *bytes;
    size_t length;
    uint8_t type;
    char room[24];   /* the bytes of what is short */
    PyObject *owner; /* to be given back after use, or NULL */
};

/* The bytes of an exact scalar; they live as long as it and `owner`.  false, and no exception: the general path
 * is to store it. */
bool scalar_encode(PyObject *value, struct scalar *scalar);

/* The scalar of that type code.  NULL without an exception: it is none, or damaged; NULL with one: no memory. */
PyObject *scalar_decode(uint8_t type, const char *bytes, size_t length);

/* ---- fast_read.c: one value ----------------------------------------------------------------- */

enum outcome {
    READ_VALUE,   /* value is the value */
    READ_RAW,     /* value is its bytes, for the Python serializer */
    READ_MISS,    /* and counted as one */
    READ_GENERAL, /* nothing was counted: the general path is to be taken */
    READ_ERROR    /* an exception is set */
};

struct reading {
    PyObject *value;
    plc_found found;
};

struct asked {
    const void *key;
    size_t length;
    uint16_t name; /* whose hits and misses are counted */
};

/* scalars: decode them here; else all values are READ_RAW. */
enum outcome read_key(plc_cache *handle, const struct asked *asked, bool scalars, struct reading *reading);

/* A value of that type from bytes that stay the caller's: READ_VALUE, READ_RAW or READ_ERROR. */
enum outcome read_bytes(bool scalars, const char *bytes, struct reading *reading);

/* (type code, bytes, cost code, token), as Region.get gives it; takes over the value. */
PyObject *read_found(struct reading *reading);

/* ---- fast_cache.c, fast_set.c, fast_many.c: the methods of Cache ---------------------------------------- */

typedef struct quick {
    PyObject_HEAD _Atomic(Port *) port;
    bool scalars;     /* the serializer is the default one */
    uint32_t options; /* of every entry that is stored: PLC_IMMUTABLE or 0 */
} Quick;

extern PyType_Spec quick_spec;

/* fast_general.c.  Calls the method that describes the operation in general. */
PyObject *quick_general(PyObject *self, const char *name, PyObject *const *args, Py_ssize_t count, PyObject *names);

/* Is that the only argument that is given by name? */
bool quick_option(PyObject *names, const char *name);

/* A descriptor of the operation with that text, for a subclass of type. */
PyObject *quick_operation(PyTypeObject *type, const char *name, const char *doc);
PyObject *quick_set(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names);
PyObject *quick_get_many(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names);

/* What the Python serializer makes of what was read; `absent` if it is damaged.  Takes over the value. */
PyObject *quick_load(PyObject *self, struct reading *reading, PyObject *absent);

static inline plc_cache *quick_handle(Quick *self) {
    return port_handle(atomic_load_explicit(&self->port, memory_order_acquire));
}

/* ---- fast_lease.c, fast_module.c: values in place ------------------------------------------- */

extern PyType_Spec lease_spec, filling_spec;

struct fast_state { /* of the module */
    PyTypeObject *lease, *filling;
};

static inline struct fast_state *fast_state(PyObject *module) {
    return PyModule_GetState(module);
}

/* lease(address, key, name, private): the status, and None or (type code, Lease, cost code, token). */
PyObject *module_lease(PyObject *module, PyObject *args);
/* lease_at(address, run, token, private): the same, of what another process has told of. */
PyObject *module_lease_at(PyObject *module, PyObject *args);
/* reserve(address, entry, length): the status, and None or a Filling; entry: the address of a plc_entry. */
PyObject *module_reserve(PyObject *module, PyObject *args);

/* ---- fast_store.c: what Region stores and claims ---------------------------------------------- */

/* store(address, verb, key, type code, parts, terms, token): the status. */
PyObject *module_store(PyObject *module, PyObject *args);
/* claim(address, key, terms, limit_ms, taken): the status, the claim's token, the generation sum; the token of a claim
 * that was taken also comes to the end of the list. */
PyObject *module_claim(PyObject *module, PyObject *args);

/* ---- fast_answer.c: another protocol's lines ------------------------------------------------- */

/* answer(address, data, start, most): the bytes that answer whole lines of data from start on, at most so many; where
 * the first line begins that was not answered; lines, hits, misses. */
PyObject *module_answer(PyObject *module, PyObject *args);

/* ---- fast_key.c, fast_digest.c, fast_lookup.c: the decorator --------------------------------- */

#define DIGEST_BYTES 16u
#define KNOWN_BYTES 48u /* of marshalled arguments whose digest is remembered, with their length */

/* The digest of fewer than KNOWN_BYTES bytes, behind which there are zeros; the last one is changed. */
void digest_short(uint8_t bytes[KNOWN_BYTES], size_t length, uint8_t digest[DIGEST_BYTES]);

/* keys.args_digest for exact scalars, and tuples of them.  1: done; 0: the general path is to be taken; -1: an
 * exception is set. */
int key_digest(PyObject *bound, uint8_t digest[DIGEST_BYTES]);

extern PyType_Spec lookup_spec;

#endif
