/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fast_cache.c: Quick, the base class of Cache that has its usual operations in C.  Each has the name of the
 * method that it stands for and comes back to it, as _general_<name>, for whatever is unusual: other keys,
 * values and options, an answer that is not at once, every refusal.  So there is one place for each message.
 */
#include "fast.h"

PyObject *quick_load(PyObject *self, struct reading *reading, PyObject *absent) {
    PyObject *found = read_found(reading), *result = NULL;
    if (found != NULL) {
        PyObject *args[] = {found, absent};
        result = quick_general(self, "_load_or", args, 2, NULL);
        Py_DECREF(found);
    }
    return result;
}

/* Reads a key; READ_GENERAL also for one that is unusual, or if the cache is closed. */
static enum outcome read_of(Quick *self, PyObject *key, struct reading *reading) {
    struct text text;
    plc_cache *handle = quick_handle(self);
    if (handle == NULL || !text_of_key(key, &text)) {
        return READ_GENERAL;
    }
    struct asked asked = {text.bytes, text.length, 0};
    return read_key(handle, &asked, self->scalars, reading);
}

static PyObject *quick_get(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    struct reading reading;
    bool named = names != NULL && PyTuple_GET_SIZE(names) != 0;
    if (count < 1 || count > 2 || (named && (count != 1 || !quick_option(names, "default")))) {
        return quick_general(object, "_general_get", args, count, names);
    }
    PyObject *absent = named || count == 2 ? args[1] : Py_None;
    switch (read_of((Quick *)(void *)object, args[0], &reading)) {
    case READ_VALUE: return reading.value;
    case READ_MISS: return Py_NewRef(absent);
    case READ_RAW: return quick_load(object, &reading, absent);
    case READ_ERROR: return NULL;
    default: return quick_general(object, "_general_get", args, count, names);
    }
}

static PyObject *key_error(PyObject *key) {
    PyObject *args = PyTuple_Pack(1, key); /* a tuple as the key is one argument too */
    if (args != NULL) {
        PyErr_SetObject(PyExc_KeyError, args);
        Py_DECREF(args);
    }
    return NULL;
}

static PyObject *quick_getitem(PyObject *object, PyObject *key) {
    struct reading reading;
    switch (read_of((Quick *)(void *)object, key, &reading)) {
    case READ_VALUE: return reading.value;
    case READ_MISS: return key_error(key);
    case READ_RAW: {
        PyObject *absent = (PyObject *)Py_TYPE(object); /* no value that is read can be this type */
        PyObject *value = quick_load(object, &reading, absent);
        if (value == absent) {
            Py_DECREF(value);
            return key_error(key);
        }
        return value;
    }
    case READ_ERROR: return NULL;
    default: return quick_general(object, "_general_getitem", &key, 1, NULL);
    }
}

static int quick_contains(PyObject *object, PyObject *key) {
    struct reading reading;
    enum outcome outcome = read_of((Quick *)(void *)object, key, &reading);
    if (outcome == READ_VALUE || outcome == READ_RAW) {
        Py_DECREF(reading.value);
    } else if (outcome == READ_GENERAL) {
        PyObject *found = quick_general(object, "_general_contains", &key, 1, NULL);
        int there = found == NULL ? -1 : PyObject_IsTrue(found);
        Py_XDECREF(found);
        return there;
    }
    return outcome == READ_ERROR ? -1 : outcome != READ_MISS;
}

/* ---- removing ------------------------------------------------------------------- */

/* PLC_OK or PLC_MISS; anything else: the general path is to be taken. */
static plc_status remove_key(Quick *self, PyObject *key) {
    struct text text;
    plc_cache *handle = quick_handle(self);
    return handle == NULL || !text_of_key(key, &text) ? PLC_INVALID : plc_delete(handle, text.bytes, text.length);
}

static PyObject *quick_delete(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    if (names == NULL && count == 1) {
        plc_status status = remove_key((Quick *)(void *)object, args[0]);
        if (status == PLC_OK || status == PLC_MISS) {
            return PyBool_FromLong(status == PLC_OK);
        }
    }
    return quick_general(object, "_general_delete", args, count, names);
}

static int quick_setitem(PyObject *object, PyObject *key, PyObject *value) {
    PyObject *result = NULL;
    if (value != NULL) {
        PyObject *args[] = {key, value};
        result = quick_set(object, args, 2, NULL);
    } else {
        plc_status status = remove_key((Quick *)(void *)object, key);
        if (status == PLC_OK) {
            return 0;
        }
        result = status == PLC_MISS ? key_error(key) : quick_general(object, "_general_delitem", &key, 1, NULL);
    }
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* ---- counting ------------------------------------------------------------------------------- */

static PyObject *count_by(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names, bool down) {
    struct text text;
    plc_cache *handle = quick_handle((Quick *)(void *)object);
    if (handle != NULL && names == NULL && (count == 1 || (count == 2 && PyLong_CheckExact(args[1]))) &&
        text_of_key(args[0], &text)) {
        uint64_t delta = count == 2 ? PyLong_AsUnsignedLongLong(args[1]) : 1, result = 0;
        plc_status status = PLC_INVALID;
        if (delta == UINT64_MAX && PyErr_Occurred()) {
            PyErr_Clear(); /* out of range: the general path says so */
        } else {
            status = plc_incr(handle, text.bytes, text.length, delta, down, &result);
        }
        if (status == PLC_OK) {
            return PyLong_FromUnsignedLongLong(result);
        }
        if (status == PLC_MISS) {
            Py_RETURN_NONE;
        }
    }
    return quick_general(object, down ? "_general_decr" : "_general_incr", args, count, names);
}

static PyObject *quick_incr(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    return count_by(object, args, count, names, false);
}

static PyObject *quick_decr(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    return count_by(object, args, count, names, true);
}

static PyObject *quick_removed(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    plc_cache *handle = quick_handle((Quick *)(void *)object);
    if (handle != NULL && count == 0 && names == NULL) {
        plc_status status = plc_linked(handle);
        if (status == PLC_OK || status == PLC_MISS) {
            return PyBool_FromLong(status == PLC_MISS);
        }
    }
    return quick_general(object, "_general_removed", args, count, names);
}

/* ---- the type ------------------------------------------------------------------------------- */

static PyObject *quick_lend(PyObject *object, PyObject *args) {
    Quick *self = (Quick *)(void *)object;
    PyObject *port = NULL;
    int scalars = 0, immutable = 0;
    if (!PyArg_ParseTuple(args, "Opp", &port, &scalars, &immutable)) {
        return NULL;
    }
    Port *new = (Port *)(void *)port;
    self->scalars = scalars != 0;
    self->options = immutable != 0 ? PLC_IMMUTABLE : 0;
    new->older = (PyObject *)atomic_load(&self->port); /* another thread may be about to use it */
    Py_INCREF(port);
    atomic_store(&self->port, new);
    Py_RETURN_NONE;
}

static PyObject *quick_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(names)) {
    return type->tp_alloc(type, 0);
}

static void quick_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    Py_XDECREF((PyObject *)atomic_load(&((Quick *)(void *)object)->port));
    type->tp_free(object);
    Py_DECREF(type);
}

#define FAST(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS

static const PyMethodDef operations[] = {
    {"get", FAST(quick_get), NULL},         {"set", FAST(quick_set), NULL},   {"delete", FAST(quick_delete), NULL},
    {"incr", FAST(quick_incr), NULL},       {"decr", FAST(quick_decr), NULL}, {"get_many", FAST(quick_get_many), NULL},
    {"removed", FAST(quick_removed), NULL},
};

PyObject *quick_operation(PyTypeObject *type, const char *name, const char *doc) {
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        if (strcmp(operations[i].ml_name, name) == 0) {
            /* for as long as the process lives, as those of other types: a descriptor points to it */
            PyMethodDef *definition = PyMem_RawMalloc(sizeof *definition + strlen(doc) + 1);
            if (definition == NULL) {
                return PyErr_NoMemory();
            }
            *definition = operations[i];
            definition->ml_doc = strcpy((char *)(definition + 1), doc);
            return PyDescr_NewMethod(type, definition);
        }
    }
    return PyErr_Format(PyExc_LookupError, "there is no operation %s", name);
}

static PyMethodDef quick_methods[] = {
    {"_lend", quick_lend, METH_VARARGS, "_lend($self, port, scalars, immutable, /)\n--\n\nUse this port from now on."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot quick_slots[] = {
    {Py_tp_doc, "The usual operations of a cache in C."},
    {Py_tp_new, quick_new},
    {Py_tp_dealloc, quick_dealloc},
    {Py_tp_methods, quick_methods},
    {Py_mp_subscript, quick_getitem},
    {Py_mp_ass_subscript, quick_setitem},
    {Py_sq_contains, quick_contains},
    {0, NULL},
};

PyType_Spec quick_spec = {
    .name = "plib_cache._fast.Quick",
    .basicsize = sizeof(Quick),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = quick_slots,
};
