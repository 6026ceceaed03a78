/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fast_module.c: plib_cache._fast, the second module in the shared object of plib_cache._native; see fast.h.
 * plib_cache._core loads it from there, and is its only user.
 */
#include "blake2b.h"
#include "fast.h"

static PyObject *module_operation(PyObject *Py_UNUSED(module), PyObject *args) {
    PyTypeObject *type;
    const char *name, *doc;
    if (!PyArg_ParseTuple(args, "O!ss", &PyType_Type, &type, &name, &doc)) {
        return NULL;
    }
    return quick_operation(type, name, doc);
}

static PyObject *module_args_digest(PyObject *Py_UNUSED(module), PyObject *bound) {
    uint8_t digest[DIGEST_BYTES];
    if (!PyTuple_CheckExact(bound)) {
        PyErr_SetString(PyExc_TypeError, "the arguments are a tuple");
        return NULL;
    }
    int known = key_digest(bound, digest);
    if (known == 0) {
        Py_RETURN_NONE;
    }
    return known < 0 ? NULL : PyBytes_FromStringAndSize((const char *)digest, DIGEST_BYTES);
}

static PyObject *module_blake2b(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer data;
    int length;
    uint8_t digest[64];
    if (!PyArg_ParseTuple(args, "y*i", &data, &length)) {
        return NULL;
    }
    PyObject *result = NULL;
    if (length < 1 || length > (int)sizeof digest) {
        PyErr_SetString(PyExc_ValueError, "a digest has 1 to 64 bytes");
    } else {
        blake2b(data.buf, (size_t)data.len, digest, (size_t)length);
        result = PyBytes_FromStringAndSize((const char *)digest, length);
    }
    PyBuffer_Release(&data);
    return result;
}

static PyMethodDef module_methods[] = {
    {"operation", module_operation, METH_VARARGS,
     "operation(type, name, doc, /)\n--\n\nThe method of Quick that has this name, with this text."},
    {"lease", module_lease, METH_VARARGS,
     "lease(address, key, name, private, /)\n--\n\nThe status, and what was found in place."},
    {"lease_at", module_lease_at, METH_VARARGS,
     "lease_at(address, run, token, private, /)\n--\n\nThe same, of what another process has told of."},
    {"reserve", module_reserve, METH_VARARGS,
     "reserve(address, entry, length, /)\n--\n\nThe status, and what is to be filled."},
    {"store", module_store, METH_VARARGS,
     "store(address, verb, key, type_code, parts, terms, token, /)\n--\n\nThe status."},
    {"claim", module_claim, METH_VARARGS,
     "claim(address, key, terms, limit_ms, taken, /)\n--\n\nThe status, the claim's token, and the generation sum."},
    {"answer", module_answer, METH_VARARGS,
     "answer(address, data, start, most, /)\n--\n\nWhat answers memcached's get and gets lines; see fast_answer.c."},
    {"args_digest", module_args_digest, METH_O,
     "args_digest(bound, /)\n--\n\nAs that of plib_cache.keys; None where only that one knows."},
    {"blake2b", module_blake2b, METH_VARARGS, "blake2b(data, length, /)\n--\n\nThe digest of data."},
    {NULL, NULL, 0, NULL},
};

static int add_type(PyObject *module, PyType_Spec *spec, const char *name) {
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    int failed = type == NULL ? -1 : PyModule_AddObjectRef(module, name, type);
    Py_XDECREF(type);
    return failed;
}

static PyTypeObject *make_type(PyObject *module, PyType_Spec *spec) {
    return (PyTypeObject *)(void *)PyType_FromModuleAndSpec(module, spec, NULL);
}

static int module_exec(PyObject *module) {
    struct fast_state *state = fast_state(module);
    state->lease = make_type(module, &lease_spec);
    state->filling = make_type(module, &filling_spec);
    if (state->lease == NULL || state->filling == NULL) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "Lease", (PyObject *)state->lease) != 0 ||
                   add_type(module, &port_spec, "Port") != 0 || add_type(module, &quick_spec, "Quick") != 0 ||
                   add_type(module, &lookup_spec, "Lookup") != 0
               ? -1
               : 0;
}

/* The types live as long as the module, which is in sys.modules until the process ends. */
static void module_free(void *module) {
    struct fast_state *state = fast_state(module);
    if (state != NULL) {
        Py_CLEAR(state->lease);
        Py_CLEAR(state->filling);
    }
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)module_exec},
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "plib_cache._fast",
    .m_doc = "The hot path of caches and decorated functions in C.",
    .m_size = sizeof(struct fast_state),
    .m_free = module_free,
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__fast(void) {
    return PyModuleDef_Init(&module_definition);
}
