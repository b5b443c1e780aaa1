//! One idea a file: see the examples beside this file.
