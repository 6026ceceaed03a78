from setuptools import setup

setup(cffi_modules=["native/ffi/build_ffi.py:ffibuilder"])
