//! One step as it is stored: fixed in size, so that a step is found by its number in the file, and summed, so that what
//! a power cut left is told from what was written.

use serde::Serialize;

use super::crc::crc32c;

/// Bytes of a stored record.
pub(super) const SIZE: usize = 64;

/// What was printed about one step. NaN stands for what was not printed, and for a loss that is NaN.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Record {
    /// Goes on counting after a resume; one that is not larger than the one before tells of a resume.
    pub step: u64,
    /// When the line was read, in seconds since 1970.
    pub time: f64,
    pub loss: f64,
    pub seconds_per_step: f64,
    pub samples_per_second: f64,
    pub lr: f64,
    /// Upstream prints none: it comes from TensorBoard's files, where the optimizer has one.
    pub grad_norm: f64,
    /// `None` where a log begins in the middle.
    pub epoch: Option<u32>,
}

impl Record {
    /// The same line of the log: the time is when it was read, which may be twice.
    pub fn is_same_line(&self, other: &Self) -> bool {
        let same = |one: f64, other: f64| one.to_bits() == other.to_bits();
        self.step == other.step
            && same(self.loss, other.loss)
            && same(self.seconds_per_step, other.seconds_per_step)
            && same(self.samples_per_second, other.samples_per_second)
    }

    /// Little endian: step, six numbers, epoch (0 for none), the sum of all before it.
    pub(super) fn encode(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..8].copy_from_slice(&self.step.to_le_bytes());
        for (index, value) in self.numbers().into_iter().enumerate() {
            bytes[8 + 8 * index..16 + 8 * index].copy_from_slice(&value.to_le_bytes());
        }
        bytes[56..60].copy_from_slice(&self.epoch.unwrap_or(0).to_le_bytes());
        let sum = crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// `None` for damage.
    pub(super) fn decode(bytes: &[u8; SIZE]) -> Option<Self> {
        let eight = |at: usize| -> [u8; 8] { std::array::from_fn(|index| bytes[at + index]) };
        let four = |at: usize| u32::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
        let number = |index: usize| f64::from_le_bytes(eight(8 + 8 * index));
        (four(60) == crc32c(&bytes[..60])).then(|| Self {
            step: u64::from_le_bytes(eight(0)),
            time: number(0),
            loss: number(1),
            seconds_per_step: number(2),
            samples_per_second: number(3),
            lr: number(4),
            grad_norm: number(5),
            epoch: Some(four(56)).filter(|epoch| *epoch > 0),
        })
    }

    const fn numbers(&self) -> [f64; 6] {
        [self.time, self.loss, self.seconds_per_step, self.samples_per_second, self.lr, self.grad_norm]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_stored_comes_back_and_damage_is_told(
            step: u64, numbers: [u64; 6], epoch in prop::option::of(1_u32..), at in 0..SIZE, bit in 0..8_u32,
        ) {
            let [time, loss, seconds_per_step, samples_per_second, lr, grad_norm] = numbers.map(f64::from_bits);
            let record =
                Record { step, time, loss, seconds_per_step, samples_per_second, lr, grad_norm, epoch };
            let mut bytes = record.encode();
            // NaN is not equal to itself; its bytes are.
            prop_assert_eq!(Record::decode(&bytes).map(|it| it.encode()), Some(bytes));
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(Record::decode(&bytes), None);
        }
    }
}
