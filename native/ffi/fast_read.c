/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fast_read.c: one value of the core as a Python object.  What is short is copied to the stack first, for its
 * length is not known before; what is longer is read again, into an object of just that length, which nobody
 * else knows yet: so it can be written to without the GIL.
 */
#include "fast.h"

#include <sys/mman.h>

#define PAGE_BYTES 4096u
#define HUGE_FROM (4u * 1024u * 1024u)
#define SCRATCH_BYTES (16u * 1024u) /* a stack may be small; copying more twice would cost more than a second look */

enum outcome read_bytes(bool scalars, const char *bytes, struct reading *reading) {
    const plc_found *found = &reading->found;
    if (scalars) {
        reading->value = scalar_decode(found->type, bytes, found->length);
        if (reading->value != NULL) {
            return READ_VALUE;
        }
        if (PyErr_Occurred()) {
            return READ_ERROR;
        }
    }
    reading->value = found->type < OWNED_TYPE ? PyBytes_FromStringAndSize(bytes, (Py_ssize_t)found->length)
                                              : PyByteArray_FromStringAndSize(bytes, (Py_ssize_t)found->length);
    return reading->value == NULL ? READ_ERROR : READ_RAW;
}

/* A function of its own: its frame is gone before any Python code runs. */
__attribute__((noinline)) static plc_status read_short(plc_cache *handle, const struct asked *asked, bool scalars,
                                                       struct reading *reading, enum outcome *outcome) {
    char scratch[SCRATCH_BYTES];
    plc_status status =
        plc_get(handle, asked->key, asked->length, asked->name, scratch, sizeof scratch, &reading->found);
    if (status == PLC_OK) {
        *outcome = read_bytes(scalars, scratch, reading);
    }
    return status;
}

/* Fresh memory costs more than the copy into it, page by page; the kernel is asked for huge ones, as NumPy does. */
static void ask_for_huge_pages(char *bytes, size_t length) {
    uintptr_t page = (uintptr_t)PAGE_BYTES, from = ((uintptr_t)bytes + page - 1) & ~(page - 1);
    uintptr_t to = ((uintptr_t)bytes + length) & ~(page - 1);
    if (length >= HUGE_FROM) {
        (void)madvise((void *)from, to - from, MADV_HUGEPAGE); /* not to be had: small ones */
    }
}

/* An object with room for so many bytes, and where they are. */
static PyObject *make_room(bool owned, size_t length, char **bytes) {
    PyObject *object = NULL;
    if (length > PY_SSIZE_T_MAX) {
        PyErr_NoMemory();
    } else if (owned) {
        object = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)length);
        *bytes = object == NULL ? NULL : PyByteArray_AS_STRING(object);
    } else {
        object = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)length);
        *bytes = object == NULL ? NULL : PyBytes_AS_STRING(object);
    }
    if (object != NULL) {
        ask_for_huge_pages(*bytes, length);
    }
    return object;
}

static plc_status read_into(plc_cache *handle, const struct asked *asked, char *bytes, size_t room, plc_found *found) {
    if (room <= GIL_BYTES) {
        return plc_get(handle, asked->key, asked->length, asked->name, bytes, room, found);
    }
    plc_status status;
    Py_BEGIN_ALLOW_THREADS status = plc_get(handle, asked->key, asked->length, asked->name, bytes, room, found);
    Py_END_ALLOW_THREADS return status;
}

/* The object that was read into, of which only so many bytes were needed, as a value or its bytes. */
static enum outcome finish(bool scalars, bool owned, struct reading *reading) {
    const plc_found *found = &reading->found;
    if (owned != (found->type >= OWNED_TYPE)) { /* another value came between the two looks */
        PyObject *other = owned ? PyBytes_FromObject(reading->value) : PyByteArray_FromObject(reading->value);
        Py_SETREF(reading->value, other);
        owned = !owned;
    }
    if (reading->value == NULL || (owned ? PyByteArray_Resize(reading->value, (Py_ssize_t)found->length)
                                         : _PyBytes_Resize(&reading->value, (Py_ssize_t)found->length)) != 0) {
        Py_CLEAR(reading->value);
        return READ_ERROR;
    }
    if (!scalars || owned || found->type == VALUE_BYTES) {
        return scalars && !owned ? READ_VALUE : READ_RAW;
    }
    PyObject *value = scalar_decode(found->type, PyBytes_AS_STRING(reading->value), found->length);
    if (value != NULL) {
        Py_SETREF(reading->value, value);
        return READ_VALUE;
    }
    if (PyErr_Occurred()) {
        Py_CLEAR(reading->value);
        return READ_ERROR;
    }
    return READ_RAW;
}

static enum outcome read_long(plc_cache *handle, const struct asked *asked, bool scalars, struct reading *reading) {
    plc_status status = PLC_TOO_SMALL;
    bool owned = false;
    reading->value = NULL;
    while (status == PLC_TOO_SMALL) { /* it may have grown meanwhile */
        size_t room = reading->found.length;
        char *bytes = NULL;
        owned = reading->found.type >= OWNED_TYPE;
        Py_XSETREF(reading->value, make_room(owned, room, &bytes));
        if (reading->value == NULL) {
            return READ_ERROR;
        }
        status = read_into(handle, asked, bytes, room, &reading->found);
    }
    if (status == PLC_OK) {
        return finish(scalars, owned, reading);
    }
    Py_CLEAR(reading->value);
    return status == PLC_MISS ? READ_MISS : READ_GENERAL;
}

enum outcome read_key(plc_cache *handle, const struct asked *asked, bool scalars, struct reading *reading) {
    enum outcome outcome = READ_GENERAL;
    switch (read_short(handle, asked, scalars, reading, &outcome)) {
    case PLC_OK: return outcome;
    case PLC_MISS: return READ_MISS;
    case PLC_TOO_SMALL: return read_long(handle, asked, scalars, reading);
    default: return READ_GENERAL;
    }
}

PyObject *read_found(struct reading *reading) {
    const plc_found *found = &reading->found;
    return Py_BuildValue("(iNiK)", (int)found->type, reading->value, (int)found->cost,
                         (unsigned long long)found->token);
}
