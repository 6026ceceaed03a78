/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fast_value.c: keys and scalars as bytes, and back, as plib_cache.keys and plib_cache.serialize describe.
 * What is damaged is left to them, so that there is one place that knows what to say.
 */
#include "fast.h"

#define DIGITS_MAX 18 /* of a decimal number that fits into a long long whatever its digits are */

bool text_of_key(PyObject *key, struct text *text) {
    if (PyUnicode_CheckExact(key)) {
        Py_ssize_t length = 0;
        if (PyUnicode_IS_COMPACT_ASCII(key)) {
            text->bytes = (const char *)PyUnicode_1BYTE_DATA(key);
            length = PyUnicode_GET_LENGTH(key);
        } else if (PyUnicode_GetLength(key) > PLC_KEY_MAX) {
            return false;
        } else {
            text->bytes = PyUnicode_AsUTF8AndSize(key, &length); /* which the str keeps */
            if (text->bytes == NULL) {
                PyErr_Clear(); /* a lone surrogate: the general path says so */
                return false;
            }
        }
        text->length = (size_t)length;
        text->is_text = true;
    } else if (PyBytes_CheckExact(key)) {
        text->bytes = PyBytes_AS_STRING(key);
        text->length = (size_t)PyBytes_GET_SIZE(key);
        text->is_text = false;
    } else {
        return false;
    }
    return text->length >= 1 && text->length <= PLC_KEY_MAX;
}

/* ---- to bytes ------------------------------------------------------------------------------- */

static bool encode_str(PyObject *value, struct scalar *scalar) {
    scalar->type = VALUE_STR;
    if (PyUnicode_IS_COMPACT_ASCII(value)) {
        scalar->bytes = PyUnicode_1BYTE_DATA(value);
        scalar->length = (size_t)PyUnicode_GET_LENGTH(value);
        return true;
    }
    /* not what the str would keep, for a value may be long */
    scalar->owner = PyUnicode_AsEncodedString(value, "utf-8", "surrogatepass");
    if (scalar->owner == NULL) {
        PyErr_Clear();
        return false;
    }
    scalar->bytes = PyBytes_AS_STRING(scalar->owner);
    scalar->length = (size_t)PyBytes_GET_SIZE(scalar->owner);
    return true;
}

static bool encode_int(PyObject *value, struct scalar *scalar) {
    int overflow = 0;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow != 0) {
        return false;
    }
    unsigned long long rest = number < 0 ? 0ull - (unsigned long long)number : (unsigned long long)number;
    char *end = scalar->room + sizeof scalar->room, *at = end;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (number < 0) {
        *--at = '-';
    }
    scalar->type = VALUE_INT;
    scalar->bytes = at;
    scalar->length = (size_t)(end - at);
    return true;
}

static bool encode_float(PyObject *value, struct scalar *scalar) {
    double number = PyFloat_AS_DOUBLE(value);
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    for (unsigned i = 0; i < 8; i++) {
        scalar->room[i] = (char)(uint8_t)(bits >> 8 * i);
    }
    scalar->type = VALUE_FLOAT;
    scalar->bytes = scalar->room;
    scalar->length = 8;
    return true;
}

bool scalar_encode(PyObject *value, struct scalar *scalar) {
    scalar->owner = NULL;
    if (PyBytes_CheckExact(value)) {
        scalar->type = VALUE_BYTES;
        scalar->bytes = PyBytes_AS_STRING(value);
        scalar->length = (size_t)PyBytes_GET_SIZE(value);
        return true;
    }
    if (PyUnicode_CheckExact(value)) {
        return encode_str(value, scalar);
    }
    if (PyLong_CheckExact(value)) {
        return encode_int(value, scalar);
    }
    if (PyFloat_CheckExact(value)) {
        return encode_float(value, scalar);
    }
    if (value == Py_True || value == Py_False) {
        scalar->type = VALUE_BOOL;
        scalar->room[0] = value == Py_True;
        scalar->bytes = scalar->room;
        scalar->length = 1;
        return true;
    }
    scalar->type = VALUE_NONE;
    scalar->bytes = scalar->room;
    scalar->length = 0;
    return value == Py_None;
}

/* ---- from bytes ----------------------------------------------------------------------------- */

static PyObject *decode_str(const char *bytes, size_t length) {
    PyObject *text = PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)length, "surrogatepass");
    if (text == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        PyErr_Clear();
    }
    return text;
}

static PyObject *decode_int(const char *bytes, size_t length) {
    bool negative = length != 0 && bytes[0] == '-';
    size_t end = length, at = negative ? 1 : 0;
    while (end > at && bytes[end - 1] == ' ') { /* memcached pads a counter that lost a digit */
        end--;
    }
    if (end == at || end - at > DIGITS_MAX) {
        return NULL;
    }
    long long number = 0;
    for (; at < end; at++) {
        if (bytes[at] < '0' || bytes[at] > '9') {
            return NULL;
        }
        number = number * 10 + (bytes[at] - '0');
    }
    return PyLong_FromLongLong(negative ? -number : number);
}

static PyObject *decode_float(const char *bytes) {
    uint64_t bits = 0;
    for (unsigned i = 8; i-- > 0;) {
        bits = bits << 8 | (uint8_t)bytes[i];
    }
    double number;
    memcpy(&number, &bits, sizeof number);
    return PyFloat_FromDouble(number);
}

PyObject *scalar_decode(uint8_t type, const char *bytes, size_t length) {
    switch (type) {
    case VALUE_BYTES: return PyBytes_FromStringAndSize(bytes, (Py_ssize_t)length);
    case VALUE_STR: return decode_str(bytes, length);
    case VALUE_INT: return decode_int(bytes, length);
    case VALUE_FLOAT: return length == 8 ? decode_float(bytes) : NULL;
    case VALUE_BOOL: return length == 1 && (uint8_t)bytes[0] <= 1 ? PyBool_FromLong(bytes[0]) : NULL;
    case VALUE_NONE: return length == 0 ? Py_NewRef(Py_None) : NULL;
    case VALUE_BYTEARRAY: return PyByteArray_FromStringAndSize(bytes, (Py_ssize_t)length);
    default: return NULL;
    }
}
