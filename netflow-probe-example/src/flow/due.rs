//! What of a flow came until a moment, when it came evenly.

/// How much of an amount came until a moment, rounded down, when all of it came evenly from `start` to `end`: all of it at
/// the end, and what came between two moments is the difference, so that parts make up the whole.
pub(crate) fn due(amount: u64, start: u64, end: u64, moment: u64) -> u64 {
    let end = end.max(start);
    let part = moment.clamp(start, end) - start;
    let whole = (end - start).max(1);
    match amount.checked_mul(part) {
        Some(product) => product / whole,
        None => u64::try_from(u128::from(amount) * u128::from(part) / u128::from(whole)).unwrap_or(amount),
    }
}

#[cfg(test)]
mod tests {
    use super::due;

    #[test]
    fn what_is_due_grows_from_nothing_to_all() {
        assert_eq!([9, 10, 13, 20, 21].map(|moment| due(7, 10, 20, moment)), [0, 0, 2, 7, 7]);
        assert_eq!(due(u64::MAX, 0, 3, 2), u64::MAX / 3 * 2);
        assert_eq!(due(5, 10, 10, 10), 0);
        assert_eq!(due(5, 10, 3, 20), 0);
    }
}
