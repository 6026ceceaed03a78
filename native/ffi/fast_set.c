/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fast_set.c: Cache.set.  A scalar is encoded here; any other value by the Python serializer, once, and stored from
 * where its parts lie.  Namespaces and tags, unusual keys and whatever the core refuses go the general way.
 */
#include "fast.h"

#define PARTS_MAX 16

static plc_status store(plc_cache *handle, const plc_entry *entry) {
    size_t length = 0;
    for (size_t i = 0; i < entry->part_count; i++) {
        length += entry->parts[i].length;
    }
    if (length <= GIL_BYTES) {
        return plc_store(handle, PLC_SET, entry, NULL);
    }
    plc_status status;
    Py_BEGIN_ALLOW_THREADS status = plc_store(handle, PLC_SET, entry, NULL);
    Py_END_ALLOW_THREADS return status;
}

/* The parts of an Encoded into `parts`; how many, or -1: they are unusual (no exception is set). */
static int take_parts(PyObject *encoded, Py_buffer buffers[PARTS_MAX], plc_part parts[PARTS_MAX], uint8_t *type) {
    bool named = PyTuple_Check(encoded) && !PyTuple_CheckExact(encoded) && PyTuple_GET_SIZE(encoded) == 3;
    PyObject *list = named ? PyTuple_GET_ITEM(encoded, 1) : NULL;
    bool usual = list != NULL && (PyList_CheckExact(list) || PyTuple_CheckExact(list)); /* else it may run anything */
    PyObject *pieces = usual ? PySequence_Tuple(list) : NULL; /* nobody changes it meanwhile */
    if (pieces == NULL || PyTuple_GET_SIZE(pieces) > PARTS_MAX) {
        Py_XDECREF(pieces);
        PyErr_Clear();
        return -1;
    }
    long code = PyLong_AsLong(PyTuple_GET_ITEM(encoded, 0));
    int count = 0, most = (int)PyTuple_GET_SIZE(pieces);
    bool fine = code >= 0 && code <= UINT8_MAX;
    for (; count < most && fine; count++) {
        if (PyObject_GetBuffer(PyTuple_GET_ITEM(pieces, count), &buffers[count], PyBUF_SIMPLE) != 0) {
            fine = false;
            break;
        }
        parts[count].bytes = buffers[count].buf;
        parts[count].length = (size_t)buffers[count].len;
    }
    for (int i = 0; i < count && !fine; i++) {
        PyBuffer_Release(&buffers[i]);
    }
    *type = (uint8_t)code;
    Py_DECREF(pieces); /* each buffer holds its own */
    PyErr_Clear();
    return fine ? count : -1;
}

/* Stores what the Python serializer makes of a value.  NULL: an exception is set. */
static PyObject *store_encoded(Quick *self, PyObject *value, PyObject *key, plc_entry *entry) {
    PyObject *object = (PyObject *)self;
    PyObject *encoded = quick_general(object, "_encode", &value, 1, NULL), *result = NULL;
    if (encoded == NULL) {
        return NULL;
    }
    Py_buffer buffers[PARTS_MAX];
    plc_part parts[PARTS_MAX];
    plc_status status = PLC_INVALID;
    plc_cache *handle = quick_handle(self); /* encoding may have run anything */
    int count = handle == NULL ? -1 : take_parts(encoded, buffers, parts, &entry->type);
    if (count >= 0) {
        entry->parts = parts;
        entry->part_count = (size_t)count;
        status = store(handle, entry);
        for (int i = 0; i < count; i++) {
            PyBuffer_Release(&buffers[i]);
        }
    }
    if (status == PLC_OK) {
        result = Py_NewRef(Py_None);
    } else {
        PyObject *deadline = PyLong_FromUnsignedLongLong(entry->deadline_ms);
        PyObject *args[] = {key, encoded, deadline};
        result = deadline == NULL ? NULL : quick_general(object, "_store_encoded", args, 3, NULL);
        Py_XDECREF(deadline);
    }
    Py_DECREF(encoded);
    return result;
}

/* The deadline that expire means.  false: an exception is set. */
static bool deadline_of(PyObject *self, PyObject *expire, uint64_t *deadline_ms) {
    *deadline_ms = 0;
    if (expire == Py_None) {
        return true;
    }
    PyObject *deadline = quick_general(self, "_deadline_ms", &expire, 1, NULL);
    if (deadline == NULL) {
        return false;
    }
    *deadline_ms = PyLong_AsUnsignedLongLong(deadline);
    Py_DECREF(deadline);
    return !PyErr_Occurred();
}

/* The argument expire of a call that has no other options; NULL: it has. */
static PyObject *expire_of(PyObject *const *args, Py_ssize_t count, PyObject *names) {
    bool named = names != NULL && PyTuple_GET_SIZE(names) != 0;
    if (named && count == 2 && quick_option(names, "expire")) {
        return args[2];
    }
    if (named || count < 2 || count > 3) {
        return NULL;
    }
    return count == 3 ? args[2] : Py_None;
}

PyObject *quick_set(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    Quick *self = (Quick *)(void *)object;
    struct text text;
    struct scalar scalar;
    plc_cache *handle = quick_handle(self);
    PyObject *expire = expire_of(args, count, names);
    if (handle == NULL || expire == NULL || !text_of_key(args[0], &text)) {
        return quick_general(object, "_general_set", args, count, names);
    }
    plc_entry entry = {
        .key = text.bytes,
        .key_length = text.length,
        .options = (text.is_text ? PLC_KEY_IS_TEXT : 0) | self->options,
    };
    if (!deadline_of(object, expire, &entry.deadline_ms)) {
        return NULL;
    }
    if (!self->scalars || !scalar_encode(args[1], &scalar)) {
        return store_encoded(self, args[1], args[0], &entry);
    }
    plc_part part = {scalar.bytes, scalar.length};
    entry.parts = &part;
    entry.part_count = 1;
    entry.type = scalar.type;
    handle = quick_handle(self); /* the deadline may have run anything */
    plc_status status = handle == NULL ? PLC_CLOSED : store(handle, &entry);
    Py_XDECREF(scalar.owner);
    if (status == PLC_OK) {
        Py_RETURN_NONE;
    }
    return quick_general(object, "_general_set", args, count, names);
}
