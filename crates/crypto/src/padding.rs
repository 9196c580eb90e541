//! Padmé: lengths rounded up so that few are told apart, at a cost of at most 12 % and less for the long.
//!
//! From "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs" (Nikitin and others, 2019,
//! section 4): a length's floating-point form keeps no more bits of mantissa than its exponent has bits, so a message
//! of at most L bytes tells O(log log L) bits of its length.

/// The least Padmé length that is not below `length`; lengths 0 and 1 stand for themselves.
pub(crate) fn padme(length: usize) -> usize {
    let Some(exponent) = length.checked_ilog2().filter(|exponent| *exponent > 0) else { return length };
    let exponent_bits = exponent.ilog2() + 1;
    let zero_bits = exponent - exponent_bits;
    let mask = (1 << zero_bits) - 1;
    length.saturating_add(mask) & !mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_worked_out_by_hand_hold() {
        // With 9 bytes the exponent is 3, which has two bits: one bit of mantissa must be zero.
        for (length, padded) in
            [(0, 0), (1, 1), (2, 2), (7, 7), (8, 8), (9, 10), (10, 10), (1_025, 1_088), (1 << 20, 1 << 20)]
        {
            assert_eq!(padme(length), padded, "{length}");
        }
    }

    #[test]
    fn padding_never_shortens_nor_costs_more_than_twelve_percent() {
        for length in 1..200_000 {
            let padded = padme(length);
            assert!(padded >= length && (padded - length) * 100 <= length * 12, "{length} to {padded}");
        }
    }

    #[test]
    fn a_padded_length_is_its_own_padding_and_order_is_kept() {
        let mut last = 0;
        for length in 0..200_000 {
            let padded = padme(length);
            assert_eq!(padme(padded), padded, "{length}");
            assert!(padded >= last, "{length}");
            last = padded;
        }
    }

    #[test]
    fn a_mebibyte_has_few_classes() {
        let mut classes: Vec<usize> = (0..=1 << 20).map(padme).collect();
        classes.dedup();
        assert!(classes.len() < 400, "{} classes", classes.len());
    }
}
