/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * calls.c: the cheapest calls from Python to C, as a Python module: methods of a C type that take what a cache's take,
 * by the same convention (METH_FASTCALL), and keep nothing.  `nothing` only returns; `copy` makes the object that a
 * get cannot do without; `take` copies a value as a set must; `copies` makes the dict of a batch.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define VALUE_BYTES 128

static char room[VALUE_BYTES];

static PyObject *calls_nothing(PyObject *Py_UNUSED(self), PyObject *const *Py_UNUSED(args), Py_ssize_t Py_UNUSED(n)) {
    Py_RETURN_NONE;
}

static PyObject *calls_copy(PyObject *Py_UNUSED(self), PyObject *const *Py_UNUSED(args), Py_ssize_t Py_UNUSED(n)) {
    return PyBytes_FromStringAndSize(room, VALUE_BYTES);
}

static PyObject *calls_take(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t n) {
    if (n != 2 || !PyBytes_Check(args[1]) || PyBytes_GET_SIZE(args[1]) != VALUE_BYTES) {
        PyErr_SetString(PyExc_TypeError, "take(key, 128 bytes)");
        return NULL;
    }
    memcpy(room, PyBytes_AS_STRING(args[1]), VALUE_BYTES);
    Py_RETURN_NONE;
}

static PyObject *calls_copies(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t n) {
    PyObject *made = n == 1 && PyList_Check(args[0]) ? PyDict_New() : NULL;
    if (made == NULL && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_TypeError, "copies(a list of keys)");
    }
    for (Py_ssize_t i = 0; made != NULL && i < PyList_GET_SIZE(args[0]); i++) {
        PyObject *value = PyBytes_FromStringAndSize(room, VALUE_BYTES);
        if (value == NULL || PyDict_SetItem(made, PyList_GET_ITEM(args[0], i), value) != 0) {
            Py_CLEAR(made);
        }
        Py_XDECREF(value);
    }
    return made;
}

#define FAST(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL, NULL

static PyMethodDef calls_methods[] = {
    {"nothing", FAST(calls_nothing)}, {"copy", FAST(calls_copy)}, {"take", FAST(calls_take)},
    {"copies", FAST(calls_copies)},   {NULL, NULL, 0, NULL},
};

static PyType_Slot calls_slots[] = {{Py_tp_methods, calls_methods}, {0, NULL}};

static PyType_Spec calls_spec = {
    .name = "calls.Calls",
    .basicsize = sizeof(PyObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = calls_slots,
};

static int calls_exec(PyObject *module) {
    PyObject *type = PyType_FromSpec(&calls_spec);
    int failed = type == NULL ? -1 : PyModule_AddObjectRef(module, "Calls", type);
    Py_XDECREF(type);
    return failed;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, (void *)calls_exec}, {0, NULL}};

static struct PyModuleDef module_definition = {PyModuleDef_HEAD_INIT, .m_name = "calls", .m_slots = module_slots};

PyMODINIT_FUNC PyInit_calls(void) {
    return PyModuleDef_Init(&module_definition);
}
