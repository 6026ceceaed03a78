/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fast_port.c: Port, which _core lends to whoever may call the core directly.  Region.close() closes it first,
 * so that no later call uses the handle; a call that is under way ends with PLC_CLOSED, as the core promises.
 */
#include "fast.h"

static PyObject *port_new(PyTypeObject *type, PyObject *args, PyObject *names) {
    unsigned long long address = 0;
    static char *words[] = {"", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, names, "K", words, &address)) {
        return NULL;
    }
    Port *self = (Port *)(void *)type->tp_alloc(type, 0);
    if (self != NULL) {
        atomic_init(&self->handle, (plc_cache *)(uintptr_t)address);
    }
    return (PyObject *)self;
}

static void port_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    Py_CLEAR(((Port *)(void *)object)->older);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *port_close(PyObject *object, PyObject *Py_UNUSED(unused)) {
    atomic_store(&((Port *)(void *)object)->handle, NULL);
    Py_RETURN_NONE;
}

static PyObject *port_address(PyObject *object, void *Py_UNUSED(unused)) {
    return PyLong_FromVoidPtr(atomic_load(&((Port *)(void *)object)->handle));
}

static PyMethodDef port_methods[] = {
    {"close", port_close, METH_NOARGS, "Nobody calls the core through this port from now on."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef port_getset[] = {
    {"address", port_address, NULL, "The handle; 0 once it is closed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot port_slots[] = {
    {Py_tp_doc, "Port(address)\n--\n\nA handle of the core, until it is closed."},
    {Py_tp_new, port_new},
    {Py_tp_dealloc, port_dealloc},
    {Py_tp_methods, port_methods},
    {Py_tp_getset, port_getset},
    {0, NULL},
};

PyType_Spec port_spec = {
    .name = "plib_cache._fast.Port",
    .basicsize = sizeof(Port),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = port_slots,
};
