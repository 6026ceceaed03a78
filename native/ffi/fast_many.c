/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fast_many.c: Cache.get_many in one call of the core, or two if there are more than 64 KiB.  Its keys are held
 * by a tuple that nobody else changes, so what they point to stays while the GIL is given up.
 */
#include "fast.h"

#define BUFFER_BYTES (64u * 1024u)
#define GIL_KEYS 1024u /* looking up more gives the GIL up */
#define ALIGN 16u      /* of the values of one plc_get_many */

/* What one call of the core works with. */
struct batch {
    size_t count;
    size_t *places; /* of the keys, in what was asked for */
    const void **keys;
    size_t *lengths;
    plc_found *found;
    char *buffer;
    size_t room;
};

static bool batch_make(struct batch *b, size_t most, size_t room) {
    size_t rows = sizeof *b->found + sizeof *b->keys + sizeof *b->lengths + sizeof *b->places;
    char *memory = most > SIZE_MAX / 2 / rows || room > SIZE_MAX / 2 ? NULL : PyMem_RawMalloc(most * rows + room + 1);
    if (memory == NULL) {
        PyErr_NoMemory();
        return false;
    }
    b->count = 0;
    b->found = (plc_found *)(void *)memory;
    b->keys = (const void **)(void *)(b->found + most);
    b->lengths = (size_t *)(void *)(b->keys + most);
    b->places = b->lengths + most;
    b->buffer = (char *)(b->places + most);
    b->room = room;
    return true;
}

static void batch_free(struct batch *b) {
    PyMem_RawFree(b->found);
}

static void batch_add(struct batch *b, size_t place, const void *key, size_t length) {
    b->places[b->count] = place;
    b->keys[b->count] = key;
    b->lengths[b->count++] = length;
}

static plc_status batch_read(plc_cache *handle, struct batch *b) {
    if (b->room <= GIL_BYTES && b->count < GIL_KEYS) {
        return plc_get_many(handle, b->count, b->keys, b->lengths, 0, b->buffer, b->room, b->found);
    }
    plc_status status;
    Py_BEGIN_ALLOW_THREADS status =
        plc_get_many(handle, b->count, b->keys, b->lengths, 0, b->buffer, b->room, b->found);
    Py_END_ALLOW_THREADS return status;
}

/* What was read as a value into *kept, which stays NULL if it is damaged.  -1: an exception is set. */
static int keep(Quick *self, enum outcome outcome, struct reading *reading, PyObject **kept) {
    PyObject *absent = (PyObject *)Py_TYPE(self), *value = reading->value; /* no value that is read can be this type */
    if (outcome == READ_RAW) {
        value = quick_load((PyObject *)self, reading, absent);
    }
    if (outcome == READ_ERROR || value == NULL) {
        return -1;
    }
    if (value == absent) {
        Py_CLEAR(value);
    }
    *kept = value;
    return 0;
}

static int keep_row(Quick *self, const struct batch *b, size_t row, PyObject **values) {
    const plc_found *found = &b->found[row];
    const char *bytes = b->buffer + found->offset;
    PyObject *value = self->scalars ? scalar_decode(found->type, bytes, found->length) : NULL;
    if (value != NULL) {
        values[b->places[row]] = value;
        return 0;
    }
    if (PyErr_Occurred()) {
        return -1;
    }
    struct reading reading = {.found = *found};
    enum outcome outcome = read_bytes(false, bytes, &reading);
    return keep(self, outcome, &reading, &values[b->places[row]]);
}

/* What has grown between two looks: by itself; results as batch_keep. */
static int keep_grown(Quick *self, plc_cache *handle, const struct batch *b, size_t row, PyObject **values) {
    struct reading reading;
    struct asked asked = {b->keys[row], b->lengths[row], 0};
    enum outcome outcome = read_key(handle, &asked, self->scalars, &reading);
    if (outcome == READ_MISS || outcome == READ_GENERAL) {
        return outcome == READ_MISS;
    }
    return keep(self, outcome, &reading, &values[b->places[row]]) == 0 ? 1 : -1;
}

/* 1: all rows have an answer, and those that fitted are in values; 0: the general path; -1: an exception. */
static int batch_keep(Quick *self, const struct batch *b, PyObject **values) {
    for (size_t i = 0; i < b->count; i++) {
        uint32_t status = b->found[i].status;
        if (status != PLC_OK && status != PLC_MISS && status != PLC_TOO_SMALL) {
            return 0;
        }
    }
    for (size_t i = 0; i < b->count; i++) {
        if (b->found[i].status == PLC_OK && keep_row(self, b, i, values) != 0) {
            return -1;
        }
    }
    return 1;
}

/* What was larger than what was left of the buffer: once more, with room for all of it; results as batch_keep. */
static int read_rest(Quick *self, plc_cache *handle, const struct batch *first, PyObject **values) {
    struct batch b;
    size_t room = 0, count = 0;
    for (size_t i = 0; i < first->count; i++) {
        if (first->found[i].status == PLC_TOO_SMALL) {
            room += (first->found[i].length + ALIGN - 1) & ~(size_t)(ALIGN - 1);
            count++;
        }
    }
    if (count == 0) {
        return 1;
    }
    if (!batch_make(&b, count, room)) {
        return -1;
    }
    for (size_t i = 0; i < first->count; i++) {
        if (first->found[i].status == PLC_TOO_SMALL) {
            batch_add(&b, first->places[i], first->keys[i], first->lengths[i]);
        }
    }
    int done = batch_read(handle, &b) == PLC_OK ? batch_keep(self, &b, values) : 0;
    for (size_t i = 0; i < b.count && done == 1; i++) {
        done = b.found[i].status == PLC_TOO_SMALL ? keep_grown(self, handle, &b, i, values) : 1;
    }
    batch_free(&b);
    return done;
}

static int read_all(Quick *self, PyObject *keys, PyObject **values) {
    struct batch b;
    struct text text;
    plc_cache *handle = quick_handle(self);
    size_t count = (size_t)PyTuple_GET_SIZE(keys);
    if (handle == NULL) {
        return 0;
    }
    if (!batch_make(&b, count, BUFFER_BYTES)) {
        return -1;
    }
    int done = 1;
    for (size_t i = 0; i < count && done == 1; i++) {
        if (text_of_key(PyTuple_GET_ITEM(keys, (Py_ssize_t)i), &text)) {
            batch_add(&b, i, text.bytes, text.length);
        } else {
            done = 0;
        }
    }
    if (done == 1) {
        done = batch_read(handle, &b) == PLC_OK ? batch_keep(self, &b, values) : 0;
    }
    if (done == 1) {
        done = read_rest(self, handle, &b, values);
    }
    batch_free(&b);
    return done;
}

/* An empty dict, with room where CPython lets one ask for it. */
static PyObject *make_dict(PyObject *keys, PyObject **values) {
#if PY_VERSION_HEX < 0x030d0000
    Py_ssize_t used = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(keys); i++) {
        used += values[i] != NULL;
    }
    return _PyDict_NewPresized(used);
#else
    (void)keys, (void)values;
    return PyDict_New();
#endif
}

static PyObject *pairs_of(PyObject *keys, PyObject **values) {
    PyObject *pairs = make_dict(keys, values);
    for (Py_ssize_t i = 0; pairs != NULL && i < PyTuple_GET_SIZE(keys); i++) {
        if (values[i] != NULL && PyDict_SetItem(pairs, PyTuple_GET_ITEM(keys, i), values[i]) != 0) {
            Py_CLEAR(pairs);
        }
    }
    return pairs;
}

PyObject *quick_get_many(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    if (names != NULL || count != 1 || PyUnicode_Check(args[0]) || PyBytes_Check(args[0])) {
        return quick_general(object, "_general_get_many", args, count, names);
    }
    PyObject *keys = PySequence_Tuple(args[0]), *result = NULL; /* an iterator can be read only once */
    if (keys == NULL) {
        return NULL;
    }
    size_t asked = (size_t)PyTuple_GET_SIZE(keys);
    PyObject **values = PyMem_Calloc(asked + 1, sizeof *values);
    int done = -1;
    if (values == NULL) {
        PyErr_NoMemory();
    } else {
        done = read_all((Quick *)(void *)object, keys, values);
        result = done == 1 ? pairs_of(keys, values) : NULL;
    }
    for (size_t i = 0; values != NULL && i < asked; i++) {
        Py_XDECREF(values[i]);
    }
    PyMem_Free(values);
    if (done == 0) {
        result = quick_general(object, "_general_get_many", &keys, 1, NULL);
    }
    Py_DECREF(keys);
    return result;
}
