/* SPDX-License-Identifier: BSD-3-Clause */
/* fast_general.c: how what is unusual gets to the Python methods that describe everything in general. */
#include "fast.h"

PyObject *quick_general(PyObject *self, const char *name, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    PyObject *method = PyObject_GetAttrString(self, name);
    if (method == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_Vectorcall(method, args, (size_t)count, names);
    Py_DECREF(method);
    return result;
}

bool quick_option(PyObject *names, const char *name) {
    return PyTuple_GET_SIZE(names) == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), name) == 0;
}
