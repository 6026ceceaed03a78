/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fast_lookup.c: Lookup, the stored result of a call of a decorated function, in C: arguments to key to value.
 * It is called as memo._seek(args, kwargs) is, and calls that for whatever is unusual; so does it answer a miss,
 * with the key.  Where the results are is told to it by its memo, which forgets it when the cache fails.
 */
#include "fast.h"

#include <structmember.h>

#define KEY_BYTES (2 * DIGEST_BYTES) /* of the function, then of the arguments */
#define COST_CODES 256
#define REPORTED_NS 1000000u /* saved time is reported in portions of at least so much */

#ifndef Py_BEGIN_CRITICAL_SECTION /* before 3.13 there is always a GIL */
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }
#endif

struct place {
    Port *port; /* NULL: nowhere yet */
    uint16_t name;
    bool scalars;
    uint8_t prefix[DIGEST_BYTES];
};

typedef struct lookup {
    PyObject_HEAD vectorcallfunc call;
    PyObject *memo;   /* whose methods describe everything in general */
    PyObject *bind;   /* brings arguments in normal form; None: they have none */
    PyObject *missed; /* makes the answer to a miss from the key */
    PyObject *costs;  /* bytes: nanoseconds of each cost code, as u64 */
    Py_ssize_t arity; /* so many arguments by place are in normal form; -1: never */
    struct place place;
    _Atomic uint64_t saved_ns; /* by hits, and not reported yet */
} Lookup;

/* Where the results are, for one call. */
static struct place where(Lookup *self) {
    struct place place;
    Py_BEGIN_CRITICAL_SECTION(self);
    place = self->place;
    Py_XINCREF((PyObject *)place.port);
    Py_END_CRITICAL_SECTION();
    return place;
}

/* READ_VALUE: the digest is that of the arguments; READ_GENERAL; READ_ERROR: the function cannot be called so. */
static enum outcome key_of_call(Lookup *self, PyObject *args, PyObject *kwargs, uint8_t digest[DIGEST_BYTES]) {
    int known = 0;
    if (PyTuple_GET_SIZE(args) == self->arity && PyDict_GET_SIZE(kwargs) == 0) {
        known = key_digest(args, digest);
    } else {
        PyObject *bound = PyObject_Call(self->bind, args, kwargs);
        if (bound == NULL) {
            return READ_ERROR;
        }
        known = PyTuple_CheckExact(bound) ? key_digest(bound, digest) : 0;
        Py_DECREF(bound);
    }
    return known == 1 ? READ_VALUE : known == 0 ? READ_GENERAL : READ_ERROR;
}

/* Looks; `key` is filled unless the outcome is READ_GENERAL or READ_ERROR. */
static enum outcome look(Lookup *self, PyObject *args, PyObject *kwargs, uint8_t key[KEY_BYTES],
                         struct reading *reading) {
    if (self->bind == Py_None) {
        return READ_GENERAL;
    }
    struct place place = where(self);
    plc_cache *handle = port_handle(place.port);
    enum outcome outcome = READ_GENERAL;
    if (handle != NULL) {
        outcome = key_of_call(self, args, kwargs, key + DIGEST_BYTES);
    }
    if (outcome == READ_VALUE) {
        memcpy(key, place.prefix, DIGEST_BYTES);
        struct asked asked = {key, KEY_BYTES, place.name};
        outcome = read_key(handle, &asked, place.scalars, reading);
    }
    Py_XDECREF((PyObject *)place.port);
    return outcome;
}

static PyObject *answer_miss(Lookup *self, const uint8_t key[KEY_BYTES]) {
    return PyObject_CallFunction(self->missed, "y#", (const char *)key, (Py_ssize_t)KEY_BYTES);
}

/* A hit: the time that it saved is noted, and reported now and then. */
static PyObject *answer_hit(Lookup *self, PyObject *value, uint8_t cost) {
    uint64_t ns;
    memcpy(&ns, PyBytes_AS_STRING(self->costs) + cost * sizeof ns, sizeof ns);
    if (ns != 0 && atomic_fetch_add_explicit(&self->saved_ns, ns, memory_order_relaxed) + ns >= REPORTED_NS) {
        PyObject *done = PyObject_CallMethod(self->memo, "_report_saved", NULL);
        if (done == NULL) {
            Py_DECREF(value);
            return NULL;
        }
        Py_DECREF(done);
    }
    return value;
}

/* Bytes for the Python serializer; what it cannot read is a miss. */
static PyObject *answer_raw(Lookup *self, struct reading *reading, const uint8_t key[KEY_BYTES]) {
    PyObject *found = read_found(reading);
    if (found == NULL) {
        return NULL;
    }
    PyObject *value = PyObject_CallMethod(self->memo, "_load_or", "OO", found, self->missed);
    Py_DECREF(found);
    if (value == self->missed) {
        Py_DECREF(value);
        return answer_miss(self, key);
    }
    return value == NULL ? NULL : answer_hit(self, value, reading->found.cost);
}

static PyObject *lookup_call(PyObject *object, PyObject *const *args, size_t flags, PyObject *names) {
    Lookup *self = (Lookup *)(void *)object;
    uint8_t key[KEY_BYTES];
    struct reading reading;
    if (names != NULL || PyVectorcall_NARGS(flags) != 2 || !PyTuple_CheckExact(args[0]) ||
        !PyDict_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "a Lookup takes a tuple of arguments and a dict of those by name");
        return NULL;
    }
    switch (look(self, args[0], args[1], key, &reading)) {
    case READ_VALUE: return answer_hit(self, reading.value, reading.found.cost);
    case READ_RAW: return answer_raw(self, &reading, key);
    case READ_MISS: return answer_miss(self, key);
    case READ_ERROR: return NULL;
    default: return PyObject_CallMethod(self->memo, "_seek", "OO", args[0], args[1]);
    }
}

/* ---- the type ------------------------------------------------------------------------------- */

static PyObject *lookup_new(PyTypeObject *type, PyObject *args, PyObject *names) {
    static char *words[] = {"memo", "bind", "arity", "missed", "costs", NULL};
    PyObject *memo, *bind, *missed, *costs;
    Py_ssize_t arity;
    if (!PyArg_ParseTupleAndKeywords(args, names, "OOnOS", words, &memo, &bind, &arity, &missed, &costs)) {
        return NULL;
    }
    if (PyBytes_GET_SIZE(costs) != COST_CODES * (Py_ssize_t)sizeof(uint64_t)) {
        PyErr_SetString(PyExc_ValueError, "costs has one u64 for each cost code");
        return NULL;
    }
    Lookup *self = (Lookup *)(void *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->call = lookup_call;
        self->memo = Py_NewRef(memo);
        self->bind = Py_NewRef(bind);
        self->missed = Py_NewRef(missed);
        self->costs = Py_NewRef(costs);
        self->arity = arity;
    }
    return (PyObject *)self;
}

static int lookup_traverse(PyObject *object, visitproc visit, void *arg) {
    Lookup *self = (Lookup *)(void *)object;
    Py_VISIT(self->memo);
    Py_VISIT(self->bind);
    Py_VISIT(self->missed);
    Py_VISIT(Py_TYPE(object));
    return 0;
}

/* The memo has the lookup and the lookup the memo; the rest may still be called by somebody's finalizer. */
static int lookup_clear(PyObject *object) {
    Py_CLEAR(((Lookup *)(void *)object)->memo);
    return 0;
}

static void lookup_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    Lookup *self = (Lookup *)(void *)object;
    PyObject_GC_UnTrack(object);
    Py_XDECREF(self->memo);
    Py_XDECREF(self->bind);
    Py_XDECREF(self->missed);
    Py_XDECREF(self->costs);
    Py_XDECREF((PyObject *)self->place.port);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *lookup_settle(PyObject *object, PyObject *args) {
    Lookup *self = (Lookup *)(void *)object;
    struct place place = {0}, before;
    PyObject *port;
    const char *prefix;
    Py_ssize_t length;
    int name, scalars;
    if (!PyArg_ParseTuple(args, "Oiy#p", &port, &name, &prefix, &length, &scalars)) {
        return NULL;
    }
    if (length != DIGEST_BYTES || name < 0 || name > UINT16_MAX) {
        PyErr_SetString(PyExc_ValueError, "a place has a prefix of 16 bytes, and the number of a namespace");
        return NULL;
    }
    place.port = (Port *)(void *)Py_NewRef(port);
    place.name = (uint16_t)name;
    place.scalars = scalars != 0;
    memcpy(place.prefix, prefix, DIGEST_BYTES);
    Py_BEGIN_CRITICAL_SECTION(self);
    before = self->place;
    self->place = place;
    Py_END_CRITICAL_SECTION();
    Py_XDECREF((PyObject *)before.port);
    Py_RETURN_NONE;
}

static PyObject *lookup_forget(PyObject *object, PyObject *Py_UNUSED(unused)) {
    Lookup *self = (Lookup *)(void *)object;
    struct place before;
    Py_BEGIN_CRITICAL_SECTION(self);
    before = self->place;
    self->place.port = NULL;
    Py_END_CRITICAL_SECTION();
    Py_XDECREF((PyObject *)before.port);
    Py_RETURN_NONE;
}

static PyObject *lookup_take_saved(PyObject *object, PyObject *Py_UNUSED(unused)) {
    uint64_t ns = atomic_exchange(&((Lookup *)(void *)object)->saved_ns, 0);
    return PyFloat_FromDouble((double)ns / 1000);
}

/* By way of the memo, which makes its own where it is unpickled. */
static PyObject *lookup_reduce(PyObject *object, PyObject *Py_UNUSED(unused)) {
    PyObject *builtins = PyEval_GetBuiltins(); /* borrowed */
    PyObject *look_up = builtins == NULL ? NULL : PyMapping_GetItemString(builtins, "getattr");
    return look_up == NULL ? NULL : Py_BuildValue("N(Os)", look_up, ((Lookup *)(void *)object)->memo, "seek");
}

static PyMethodDef lookup_methods[] = {
    {"settle", lookup_settle, METH_VARARGS,
     "settle($self, port, name, prefix, scalars, /)\n--\n\nWhere the results are."},
    {"forget", lookup_forget, METH_NOARGS, "They are nowhere."},
    {"take_saved", lookup_take_saved, METH_NOARGS, "Microseconds that hits saved since this was asked last."},
    {"__reduce__", lookup_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef lookup_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Lookup, call), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot lookup_slots[] = {
    {Py_tp_doc, "Finds the stored results of one decorated function."},
    {Py_tp_new, lookup_new},
    {Py_tp_dealloc, lookup_dealloc},
    {Py_tp_traverse, lookup_traverse},
    {Py_tp_clear, lookup_clear},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_methods, lookup_methods},
    {Py_tp_members, lookup_members},
    {0, NULL},
};

PyType_Spec lookup_spec = {
    .name = "plib_cache._fast.Lookup",
    .basicsize = sizeof(Lookup),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = lookup_slots,
};
