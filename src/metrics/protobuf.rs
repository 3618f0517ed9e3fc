//! As much of Protocol Buffers as TensorBoard's events need: the fields of a message, one after the other.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding>.

/// A field's value by its wire type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

/// The fields of a message with their numbers. Ends at the first that is no field.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(*self.0.split_off(..8)?.as_array()?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.0.split_off(..length)?)
            }
            5 => Value::Fixed32(*self.0.split_off(..4)?.as_array()?),
            // Groups are gone from the language, and nothing else was ever in it.
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

impl Fields<'_> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.0.split_off_first()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_until_one_is_broken() {
        let check = |bytes: &[u8], expected: &[(u64, Value)]| {
            assert_eq!(Fields(bytes).collect::<Vec<_>>(), expected, "{bytes:x?}");
        };
        check(&[0x08, 0x96, 0x01], &[(1, Value::Varint(150))]);
        check(
            &[0x12, 2, b'h', b'i', 0x15, 0, 0, 0x80, 0x3F],
            &[(2, Value::Bytes(b"hi")), (2, Value::Fixed32(1.0_f32.to_le_bytes()))],
        );
        check(&[0x09, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F], &[(1, Value::Fixed64(1.0_f64.to_le_bytes()))]);
        check(&[0x08, 1, 0x12, 9, b'h'], &[(1, Value::Varint(1))]);
        check(&[0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], &[]);
        check(&[0x0B], &[]);
    }
}
