//! Memory, taken at creation.

use alloc::vec::Vec;

use crate::ConfigError;

/// An empty list with room for so many.
pub(crate) fn reserved<T>(count: usize) -> Result<Vec<T>, ConfigError> {
    let mut list = Vec::new();
    list.try_reserve_exact(count).map_err(|_| ConfigError::OutOfMemory)?;
    Ok(list)
}
