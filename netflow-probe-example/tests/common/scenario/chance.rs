//! Numbers that look random.

/// Numbers that look random and are the same on every run.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// From 0 to 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Small numbers often, great ones rarely, up to `high`.
    pub(crate) fn heavy(&mut self, high: u64) -> u64 {
        let power = self.fraction() * self.fraction();
        (high as f64).powf(power) as u64
    }
}

/// How many of `count` things happen that have this probability each.
pub(super) fn binomial(chance: &mut Chance, count: u64, probability: f64) -> u64 {
    if count <= 64 {
        return (0..count).filter(|_| chance.fraction() < probability).count() as u64;
    }
    let mean = count as f64 * probability;
    if mean < 30.0 {
        // Poisson, by Knuth.
        let limit = (-mean).exp();
        let (mut product, mut seen) = (chance.fraction(), 0);
        while product > limit {
            product *= chance.fraction();
            seen += 1;
        }
        return seen;
    }
    let normal: f64 = (0..12).map(|_| chance.fraction()).sum::<f64>() - 6.0;
    (mean + normal * (mean * (1.0 - probability)).sqrt()).round().max(0.0) as u64
}
