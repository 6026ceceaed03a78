/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fast_lease.c: values in place as Python objects.  A Lease is memory that can be read; whatever is derived from it
 * (memoryviews, their slices, arrays, tables) holds it, and its lease ends with the last of them.  A Filling is a value
 * that is being written: its memory can be written to until it is sealed.
 *
 * A Lease also says which value it is: so what lies over it needs no attributes of its own to be sent to another
 * process by reference, or to be known by its digest.  Whoever has an array finds the Lease at the end of its bases.
 *
 * Both bindings use them: a buffer that Python code cannot get around (by the `obj` of a memoryview, say) is nothing
 * that cffi can make.
 */
#include "fast.h"

#include <stddef.h>
#include <structmember.h>

typedef struct lease {
    PyObject_HEAD plc_cache *handle; /* handles are never freed */
    plc_view view;
    uint64_t token;  /* of the value */
    PyObject *weak;  /* list of weak references */
    uint8_t type;    /* code of the value */
    bool writable;   /* a private copy on write */
} Lease;

static int lease_buffer(PyObject *object, Py_buffer *buffer, int flags) {
    Lease *self = (Lease *)(void *)object;
    void *bytes = (void *)(uintptr_t)self->view.bytes;
    return PyBuffer_FillInfo(buffer, object, bytes, (Py_ssize_t)self->view.length, !self->writable, flags);
}

static void lease_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    Lease *self = (Lease *)(void *)object;
    if (self->weak != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    plc_release(self->handle, &self->view);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *lease_run(PyObject *object, PyObject *Py_UNUSED(unused)) {
    Lease *self = (Lease *)(void *)object;
    uint64_t run = 0;
    if (plc_view_run(self->handle, &self->view, &run) != PLC_OK) {
        Py_RETURN_NONE;
    }
    return PyLong_FromUnsignedLongLong((unsigned long long)run);
}

static PyMethodDef lease_methods[] = {
    {"run", lease_run, METH_NOARGS,
     "run($self, /)\n--\n\nWhere it lies, for others to lease it; None: it cannot be told."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef lease_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Lease, weak), READONLY, NULL},
    {"handle", T_ULONGLONG, offsetof(Lease, handle), READONLY, "The address of the handle that it is of."},
    {"address", T_ULONGLONG, offsetof(Lease, view.bytes), READONLY, "Where the value begins in this process."},
    {"nbytes", T_ULONGLONG, offsetof(Lease, view.length), READONLY, "The length of the value."},
    {"token", T_ULONGLONG, offsetof(Lease, token), READONLY, "Which value it is."},
    {"type_code", T_UBYTE, offsetof(Lease, type), READONLY, "How its bytes are to be read."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot lease_slots[] = {
    {Py_tp_doc, "A value in place, until the last who reads it is gone."},
    {Py_tp_dealloc, lease_dealloc},
    {Py_tp_methods, lease_methods},
    {Py_tp_members, lease_members},
    {Py_bf_getbuffer, lease_buffer},
    {0, NULL},
};

PyType_Spec lease_spec = {
    .name = "plib_cache._fast.Lease",
    .basicsize = sizeof(Lease),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = lease_slots,
};

/* A lease that was taken, as it was asked for: status says whether it was. */
static plc_status taken(Lease *self, plc_status status, int private) {
    if (status == PLC_OK && private) {
        status = plc_view_private(self->handle, &self->view);
        self->writable = status == PLC_OK;
        status = status == PLC_OK ? PLC_OK : PLC_COPY; /* no memory to map it, or the file was closed by others */
    }
    return status;
}

/* A lease that is not taken yet. */
static Lease *make(PyObject *module, unsigned long long address) {
    PyTypeObject *type = fast_state(module)->lease;
    Lease *self = (Lease *)(void *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->handle = (plc_cache *)(uintptr_t)address;
    }
    return self;
}

/* The status, and what was found; takes over the lease. */
static PyObject *answer(plc_status status, Lease *self, const plc_found *found) {
    if (status != PLC_OK) {
        Py_DECREF(self);
        return Py_BuildValue("(iO)", (int)status, Py_None);
    }
    self->token = found->token;
    self->type = found->type;
    return Py_BuildValue("(i(iNiK))", (int)status, (int)found->type, (PyObject *)self, (int)found->cost,
                         (unsigned long long)found->token);
}

PyObject *module_lease_at(PyObject *module, PyObject *args) {
    unsigned long long address, run, token;
    int private;
    plc_found found = {0};
    if (!PyArg_ParseTuple(args, "KKKp", &address, &run, &token, &private)) {
        return NULL;
    }
    Lease *self = make(module, address);
    if (self == NULL) {
        return NULL;
    }
    plc_status status = plc_lease_at(self->handle, run, token, &self->view, &found);
    return answer(taken(self, status, private), self, &found);
}

PyObject *module_lease(PyObject *module, PyObject *args) {
    unsigned long long address;
    const char *key;
    Py_ssize_t length;
    unsigned name;
    int private;
    plc_found found = {0};
    if (!PyArg_ParseTuple(args, "Ky#Ip", &address, &key, &length, &name, &private)) {
        return NULL;
    }
    Lease *self = make(module, address);
    if (self == NULL) {
        return NULL;
    }
    plc_status status = plc_lease(self->handle, key, (size_t)length, (uint16_t)name, &self->view, &found);
    return answer(taken(self, status, private), self, &found);
}

/* ---- filling -------------------------------------------------------------------------------- */

typedef struct filling {
    PyObject_HEAD plc_cache *handle;
    plc_reservation *reservation;
    void *bytes;
    uint64_t length;
    atomic_bool busy, sealed, gone; /* busy: one thread seals or gives it back */
} Filling;

static int filling_buffer(PyObject *object, Py_buffer *buffer, int flags) {
    Filling *self = (Filling *)(void *)object;
    if (atomic_load(&self->gone)) {
        PyErr_SetString(PyExc_ValueError, "the reservation was given back: its buffer has no meaning any more");
        buffer->obj = NULL;
        return -1;
    }
    return PyBuffer_FillInfo(buffer, object, self->bytes, (Py_ssize_t)self->length, atomic_load(&self->sealed), flags);
}

static void filling_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    Filling *self = (Filling *)(void *)object;
    plc_reservation_end(self->handle, self->reservation);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *filling_seal(PyObject *object, PyObject *args) {
    Filling *self = (Filling *)(void *)object;
    unsigned long long deadline_ms;
    uint64_t token = 0;
    plc_status status = PLC_BUSY;
    if (!PyArg_ParseTuple(args, "K", &deadline_ms)) {
        return NULL;
    }
    if (!atomic_exchange(&self->busy, true)) {
        atomic_store(&self->sealed, true); /* from here on nobody gets it to write to, whatever comes of it */
        Py_BEGIN_ALLOW_THREADS status = plc_seal(self->handle, self->reservation, deadline_ms, &token);
        Py_END_ALLOW_THREADS atomic_store(&self->busy, false);
    }
    return Py_BuildValue("(iK)", (int)status, (unsigned long long)token);
}

static PyObject *filling_abort(PyObject *object, PyObject *Py_UNUSED(unused)) {
    Filling *self = (Filling *)(void *)object;
    if (!atomic_exchange(&self->busy, true)) {
        atomic_store(&self->gone, true);
        Py_BEGIN_ALLOW_THREADS plc_abort(self->handle, self->reservation);
        Py_END_ALLOW_THREADS atomic_store(&self->busy, false);
    }
    Py_RETURN_NONE;
}

static PyMethodDef filling_methods[] = {
    {"seal", filling_seal, METH_VARARGS, "seal($self, deadline_ms, /)\n--\n\nThe status, and the token."},
    {"abort", filling_abort, METH_NOARGS, "Give it back; not once it was published."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot filling_slots[] = {
    {Py_tp_doc, "A value that is being written in place."},
    {Py_tp_dealloc, filling_dealloc},
    {Py_tp_methods, filling_methods},
    {Py_bf_getbuffer, filling_buffer},
    {0, NULL},
};

PyType_Spec filling_spec = {
    .name = "plib_cache._fast.Filling",
    .basicsize = sizeof(Filling),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = filling_slots,
};

PyObject *module_reserve(PyObject *module, PyObject *args) {
    unsigned long long address, entry, length;
    plc_status status;
    if (!PyArg_ParseTuple(args, "KKK", &address, &entry, &length)) {
        return NULL;
    }
    PyTypeObject *type = fast_state(module)->filling;
    Filling *self = (Filling *)(void *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->handle = (plc_cache *)(uintptr_t)address;
    self->length = length;
    Py_BEGIN_ALLOW_THREADS status =
        plc_reserve(self->handle, (const plc_entry *)(uintptr_t)entry, length, &self->reservation, &self->bytes);
    Py_END_ALLOW_THREADS if (status != PLC_OK) {
        Py_DECREF(self);
        return Py_BuildValue("(iO)", (int)status, Py_None);
    }
    return Py_BuildValue("(iN)", (int)status, (PyObject *)self);
}
