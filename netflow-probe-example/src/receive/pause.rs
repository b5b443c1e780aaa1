//! How long to let datagrams gather before the next ones are fetched.

use core::time::Duration;

/// Waking up takes longer than handling a datagram, so that many are fetched at once. The fewer come, the longer is the
/// pause; what comes meanwhile is in the receive buffer.
#[derive(Debug)]
pub(super) struct Pause {
    length: Duration,
    longest: Duration,
}

impl Pause {
    const SHORTEST: Duration = Duration::from_millis(2);
    const LONGEST: Duration = Duration::from_millis(16);
    /// Datagrams that should have come in a pause.
    const AIM: usize = 64;
    /// Octets of receive buffer that hold the pauses of any length of a hundred thousand datagrams a second.
    const ROOM: usize = 4 << 20;

    /// For sockets of which each has so many octets of receive buffer at least.
    pub(super) const fn new(receive_buffer: usize) -> Self {
        let longest = if receive_buffer < Self::ROOM { Self::SHORTEST } else { Self::LONGEST };
        Self { length: Self::SHORTEST, longest }
    }

    /// The pause behind so many datagrams; `None` when nothing came, and the next one is to be waited for.
    pub(super) fn after(&mut self, datagrams: usize) -> Option<Duration> {
        self.length = match datagrams {
            0 => {
                self.length = Self::SHORTEST;
                return None;
            }
            1..Self::AIM => (self.length * 2).min(self.longest),
            _ if datagrams > 2 * Self::AIM => (self.length / 2).max(Self::SHORTEST),
            _ => self.length,
        };
        Some(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses of a sender of so many datagrams a second.
    fn settled(pause: &mut Pause, rate: u32) -> Duration {
        let mut length = Pause::SHORTEST;
        for _ in 0..20 {
            let came = length.as_micros() * u128::from(rate) / 1_000_000;
            length = pause.after(usize::try_from(came).unwrap().max(1)).unwrap();
        }
        length
    }

    #[test]
    fn the_fewer_come_the_longer_is_the_pause() {
        let mut pause = Pause::new(32 << 20);
        for (rate, millis) in [(100, 16), (10_000, 8), (40_000, 2), (1_000_000, 2), (100, 16)] {
            assert_eq!(settled(&mut pause, rate).as_millis(), millis, "{rate}");
        }
        assert_eq!(pause.after(0), None);
        assert_eq!(pause.after(1), Some(2 * Pause::SHORTEST));
    }

    #[test]
    fn pauses_are_short_where_the_buffer_is_small() {
        assert_eq!(settled(&mut Pause::new(212_992), 100), Pause::SHORTEST);
    }
}
