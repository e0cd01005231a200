//! Stretches of frames, and what is left of them without others.

/// Frames from the first number up to the second.
pub type Span = (u64, u64);

/// What is left of spans without others.
#[must_use]
pub fn without(mut spans: Vec<Span>, others: &[Span]) -> Vec<Span> {
    for other in others {
        let cut = |span: Span| {
            let before = (span.0, span.1.min(other.0));
            let behind = (span.0.max(other.1), span.1);
            // What lies apart from it stays whole, and not twice.
            let parts =
                if other.0 >= other.1 || !overlaps(span, *other) { [span, (0, 0)] } else { [before, behind] };
            parts.into_iter().filter(|part| part.0 < part.1)
        };
        spans = spans.into_iter().flat_map(cut).collect();
    }
    spans
}

fn overlaps(a: Span, b: Span) -> bool {
    a.0 < b.1 && b.0 < a.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_lies_before_behind_or_apart() {
        for (others, left) in [
            (vec![], vec![(10, 20)]),
            (vec![(12, 14)], vec![(10, 12), (14, 20)]),
            (vec![(0, 10), (20, 30), (15, 15)], vec![(10, 20)]),
            (vec![(0, 15), (15, 20)], vec![]),
            (vec![(5, 11), (19, 25), (13, 14)], vec![(11, 13), (14, 19)]),
        ] {
            assert_eq!(without(vec![(10, 20)], &others), left, "{others:?}");
        }
    }
}
