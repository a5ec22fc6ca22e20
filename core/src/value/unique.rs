//! One pair for each key, in time that grows with the number of pairs and not with its square: large objects come from
//! outside.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::{BuildHasher, Hash, Hasher};

use super::Value;

/// Up to this many pairs comparing each with each is faster.
const FEW: usize = 24;

/// Of pairs with the same key the last value, at the first one's place.
pub(super) fn unique(pairs: Vec<(Value, Value)>) -> Vec<(Value, Value)> {
    if pairs.len() <= FEW {
        // The usual case: no key twice, so the pairs can stay where they are.
        let twice = pairs.iter().enumerate().any(|(at, (key, _))| pairs.iter().take(at).any(|(other, _)| other == key));
        return if twice { compared(pairs) } else { pairs };
    }
    hashed(pairs)
}

fn compared(pairs: Vec<(Value, Value)>) -> Vec<(Value, Value)> {
    let mut kept: Vec<(Value, Value)> = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        match kept.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => kept.push((key, value)),
        }
    }
    kept
}

fn hashed(pairs: Vec<(Value, Value)>) -> Vec<(Value, Value)> {
    let state = RandomState::new();
    let mut kept: Vec<(Value, Value)> = Vec::with_capacity(pairs.len());
    // Places in `kept`, by the hash of their key. Different keys of one hash are so rare that looking at all is fine.
    let mut places: HashMap<u64, usize> = HashMap::with_capacity(pairs.len());
    for (key, value) in pairs {
        let mut hasher = state.build_hasher();
        hash(&key, &mut hasher);
        let known = match places.entry(hasher.finish()) {
            Entry::Vacant(vacant) => {
                vacant.insert(kept.len());
                None
            }
            Entry::Occupied(occupied) => {
                let same = kept.get(*occupied.get()).is_some_and(|(known, _)| *known == key);
                if same { Some(*occupied.get()) } else { kept.iter().position(|(known, _)| *known == key) }
            }
        };
        match known.and_then(|place| kept.get_mut(place)) {
            Some((_, old)) => *old = value,
            None => kept.push((key, value)),
        }
    }
    kept
}

/// Feeds a value to a hasher; equal values alike.
fn hash(value: &Value, hasher: &mut impl Hasher) {
    std::mem::discriminant(value).hash(hasher);
    match value {
        Value::Null => {}
        Value::Boolean(yes) => yes.hash(hasher),
        Value::Int8(number) => number.hash(hasher),
        Value::Int16(number) => number.hash(hasher),
        Value::Int32(number) => number.hash(hasher),
        Value::Int64(number) | Value::Date(number) => number.hash(hasher),
        // Adding zero makes one of both zeros, which are equal.
        Value::Float32(number) => (number + 0.0).to_bits().hash(hasher),
        Value::Float64(number) => (number + 0.0).to_bits().hash(hasher),
        Value::String(text) => text.hash(hasher),
        Value::Bytes(bytes) => bytes.hash(hasher),
        Value::Decimal(number) => number.hash(hasher),
        Value::Array(values) => values.iter().for_each(|value| hash(value, hasher)),
        Value::Map(map) => map.iter().for_each(|(key, value)| {
            hash(key, hasher);
            hash(value, hasher);
        }),
        Value::Struct(fields) => fields.values().iter().for_each(|value| hash(value, hasher)),
        Value::Json(json) => json.text().hash(hasher),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_pairs_give_the_same() {
        let key = |at: i32| match at % 5 {
            0 => Value::Int32(at / 2),
            1 => Value::text(format!("k{}", at % 40)),
            2 => Value::Float64(if at % 2 == 0 { 0.0 } else { -0.0 }),
            3 => Value::array(vec![Value::Int64(i64::from(at % 7))]),
            _ => Value::Null,
        };
        let pairs: Vec<_> = (0..200).map(|at| (key(at), Value::Int32(at))).collect();
        assert_eq!(hashed(pairs.clone()), compared(pairs));
    }

    #[test]
    fn an_object_of_many_members_takes_no_square_time() {
        let pairs: Vec<_> = (0..200_000).map(|at| (Value::text(at.to_string()), Value::Int32(at))).collect();
        assert_eq!(unique(pairs).len(), 200_000);
    }
}
