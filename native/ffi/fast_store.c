/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fast_store.c: storing a value that is bytes already, and claiming a computation, as Region.store and Region.claim do
 * by cffi, in a tenth of the time.  They answer with a status; whatever is not settled by it the caller does over.
 */
#include "fast.h"

#define PARTS 16

/* The parts of a value, which stay where they are until drop_parts. */
struct pieces {
    Py_ssize_t count;
    size_t length; /* of all together */
    Py_buffer views[PARTS];
    plc_part parts[PARTS];
};

static void drop_parts(struct pieces *pieces) {
    while (pieces->count > 0) {
        PyBuffer_Release(&pieces->views[--pieces->count]);
    }
}

/* false, without an exception: there are more than fit; with one: something is no bytes. */
static bool take_parts(PyObject *list, struct pieces *pieces) {
    Py_ssize_t n = PyList_CheckExact(list) ? PyList_GET_SIZE(list) : PARTS + 1;
    pieces->count = 0;
    pieces->length = 0;
    for (Py_ssize_t i = 0; n <= PARTS && i < n; i++) {
        Py_buffer *view = &pieces->views[i];
        if (PyObject_GetBuffer(PyList_GET_ITEM(list, i), view, PyBUF_SIMPLE) != 0) {
            drop_parts(pieces);
            return false;
        }
        pieces->parts[i] = (plc_part){view->buf, (size_t)view->len};
        pieces->length += (size_t)view->len;
        pieces->count++;
    }
    return n <= PARTS;
}

static uint64_t number_at(PyObject *tuple, Py_ssize_t i) {
    return PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(tuple, i));
}

/* What Terms say, in their order.  false: an exception is set. */
static bool use_terms(PyObject *terms, plc_entry *entry) {
    if (!PyTuple_Check(terms) || PyTuple_GET_SIZE(terms) != 7 || !PyTuple_Check(PyTuple_GET_ITEM(terms, 2))) {
        PyErr_SetString(PyExc_TypeError, "the terms are Terms");
        return false;
    }
    PyObject *tags = PyTuple_GET_ITEM(terms, 2);
    entry->deadline_ms = number_at(terms, 0);
    entry->name = (uint16_t)number_at(terms, 1);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tags) && i < 4; i++) {
        entry->tags[i] = (uint16_t)number_at(tags, i);
    }
    entry->cost = (uint8_t)number_at(terms, 3);
    entry->sum = number_at(terms, 5);
    entry->options = (PyTuple_GET_ITEM(terms, 4) == Py_True ? PLC_KEY_IS_TEXT : 0) |
                     (PyTuple_GET_ITEM(terms, 6) == Py_True ? PLC_IMMUTABLE : 0);
    return !PyErr_Occurred();
}

static plc_status store(plc_cache *handle, plc_verb verb, const plc_entry *entry, size_t length) {
    plc_status status;
    if (length <= GIL_BYTES) {
        return plc_store(handle, verb, entry, NULL);
    }
    Py_BEGIN_ALLOW_THREADS status = plc_store(handle, verb, entry, NULL);
    Py_END_ALLOW_THREADS return status;
}

PyObject *module_store(PyObject *Py_UNUSED(module), PyObject *args) {
    unsigned long long address, token;
    int verb, type;
    Py_buffer key;
    PyObject *parts, *terms;
    struct pieces pieces;
    plc_entry entry = {0};
    if (!PyArg_ParseTuple(args, "Kiy*iOOK", &address, &verb, &key, &type, &parts, &terms, &token)) {
        return NULL;
    }
    plc_status status = PLC_AGAIN;
    if (take_parts(parts, &pieces)) {
        entry.key = key.buf;
        entry.key_length = (size_t)key.len;
        entry.parts = pieces.parts;
        entry.part_count = (size_t)pieces.count;
        entry.type = (uint8_t)type;
        entry.token = token;
        if (use_terms(terms, &entry)) {
            status = store((plc_cache *)(uintptr_t)address, (plc_verb)verb, &entry, pieces.length);
        }
        drop_parts(&pieces);
    }
    PyBuffer_Release(&key);
    return PyErr_Occurred() ? NULL : PyLong_FromLong((long)status);
}

/* The claim's token in a list of the caller's, who gives the claim back if it is interrupted: by a signal's handler,
 * say, that runs before it has the answer.  false: an exception is set. */
static bool note_claim(PyObject *taken, uint64_t token) {
    PyObject *number = PyLong_FromUnsignedLongLong(token);
    bool noted = number != NULL && PyList_Append(taken, number) == 0;
    Py_XDECREF(number);
    return noted;
}

PyObject *module_claim(PyObject *Py_UNUSED(module), PyObject *args) {
    unsigned long long address, limit_ms;
    const char *key;
    Py_ssize_t length;
    PyObject *terms, *taken;
    plc_entry entry = {0};
    plc_flight flight = {0};
    if (!PyArg_ParseTuple(args, "Ky#OKO!", &address, &key, &length, &terms, &limit_ms, &PyList_Type, &taken) ||
        !use_terms(terms, &entry)) {
        return NULL;
    }
    plc_cache *handle = (plc_cache *)(uintptr_t)address;
    entry.key = key;
    entry.key_length = (size_t)length;
    plc_status status = plc_claim(handle, &entry, limit_ms, &flight);
    if (status == PLC_OK && !note_claim(taken, flight.token)) {
        plc_status gone = plc_abandon(handle, key, (size_t)length, flight.token);
        (void)gone; /* it has a limit */
        return NULL;
    }
    return Py_BuildValue("(iKK)", (int)status, (unsigned long long)flight.token, (unsigned long long)flight.sum);
}
