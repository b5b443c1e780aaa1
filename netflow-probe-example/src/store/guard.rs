//! What the decoder of Parquet does with damaged files: on some it panics, which here is one more error of that file.

use core::{cell::Cell, panic::AssertUnwindSafe};
use std::{
    panic::{catch_unwind, set_hook, take_hook},
    sync::Once,
};

use parquet::errors::ParquetError;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Calls the decoder. A panic in it is an error, and is not printed; what it was working on is to be dropped.
pub(super) fn guarded<T>(decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = take_hook();
        set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                hook(info);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(decode));
    GUARDED.set(outer);
    result.unwrap_or_else(|_| {
        Err(ParquetError::General("it is damaged in a way that stops the decoder".to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_decoder_is_an_error() {
        let error = guarded::<()>(|| panic!("on purpose")).unwrap_err();
        assert!(error.to_string().contains("damaged"), "{error}");
        assert_eq!(guarded(|| Ok(1)).unwrap(), 1);
        assert!(!GUARDED.get());
    }
}
